"""Table A1 of the study, as facts: which categories of a city stand under which crime type."""

from __future__ import annotations

TABLE_A1: dict[str, dict[str, tuple[str, ...]]] = {
    "seattle": {
        "Homicide": ("HOMICIDE",),
        "Robbery": ("ROBBERY",),
        "Arson": ("RECKLESS BURNING", "FIREWORK"),
        "Vice": ("CAR PROWL", "PROSTITUTION", "PORNOGRAPHY", "STAY OUT OF AREA OF PROSTITUTION"),
        "Motor vehicle": ("VEHICLE THEFT",),
        "Narcotics": ("NARCOTICS", "STAY OUT OF AREA OF DRUGS"),
        "Assault": ("ASSAULT", "DISTURBANCE", "INJURY", "DISPUTE", "DISORDERLY CONDUCT"),
        "Other": (
            "OTHER PROPERTY", "TRAFFIC", "FRAUD", "WARRANT ARREST", "THREATS", "EXTORTION",
            "COUNTERFEIT", "WEAPON", "BURGLARY-SECURE PARKING-RES", "LOST PROPERTY", "DUI",
            "OBSTRUCT", "ELUDING", "MAIL THEFT", "VIOLATION OF COURT ORDER", "EMBEZZLE", "FORGERY",
            "ANIMAL COMPLAINT", "THEFT OF SERVICES", "ILLEGAL DUMPING", "RECOVERED PROPERTY",
            "LIQUOR VIOLATION", "FALSE REPORT", "LOITERING", "HARBOR CALLs", "FRAUD AND FINANCIAL",
            "[INC - CASE DC USE ONLY]", "ESCAPE", "PUBLIC NUISANCE", "BIAS INCIDENT",
            "HARBOR CALLS", "GAMBLE", "METRO", "nan",
        ),
        "Theft": (
            "STOLEN PROPERTY", "BIKE THEFT", "SHOPLIFTING", "PROPERTY DAMAGE", "PURSE SNATCH",
            "PICKPOCKET",
        ),
        "Burglary": ("BURGLARY", "TRESPASS"),
    },
    "philadelphia": {
        "Homicide": (
            "Homicide - Criminal", "Homicide - Gross Negligence", "Homicide - Justifiable",
        ),
        "Robbery": ("Robbery No Firearm", "Robbery Firearm"),
        "Arson": ("Arson",),
        "Vice": ("Rape", "Prostitution and Commercialized Vice"),
        "Motor vehicle": ("Motor Vehicle Theft", "Recovered Stolen Motor Vehicle"),
        "Narcotics": ("Narcotic / Drug Law Violations",),
        "Assault": (
            "Other Assaults", "Aggravated Assault Firearm", "Disorderly Conduct",
            "Aggravated Assault No Firearm", "Offenses Against Family and Children",
        ),
        "Other": (
            "All Other Offenses", "Weapon Violations", "Burglary Non-Residential", "Fraud",
            "Vagrancy/Loitering", "Embezzlement", "DRIVING UNDER THE INFLUENCE",
            "Forgery and Counterfeiting", "Other Sex Offenses (Not Commercialized)",
            "Liquor Law Violations", "Gambling Violations", "Public Drunkenness",
            "Receiving Stolen Property", "nan",
        ),
        "Theft": ("Thefts", "Theft from Vehicle", "Vandalism/Criminal Mischief"),
        "Burglary": ("Burglary Residential",),
    },
    "minneapolis": {
        "Homicide": ("DASTR", "MURDR", "ADLTTN", "JHOMIC"),
        "Robbery": ("SHOPLF", "ROBBIZ", "ROBPER", "ROBPAG"),
        "Arson": ("ARSON",),
        "Vice": ("CSCR",),
        "Motor vehicle": ("TFMV", "AUTOTH", "TMVP", "MVTHFT"),
        "Assault": ("ASLT4", "ASLT2", "ASLT1", "ASLT3", "DASLT2", "DASLT3", "DISARM", "DASLT1"),
        "Other": ("ONLTHT", "NOPAY", "COINOP", "COMPUT", "SCRAP"),
        "Theft": ("THEFT", "TBLDG", "TFPER", "THFTSW", "POCKET", "BIKETF"),
        "Burglary": ("BURGD", "BURGB", "LOOT"),
    },
    "washington-dc": {
        "Homicide": ("HOMICIDE",),
        "Robbery": ("ROBBERY",),
        "Arson": ("ARSON",),
        "Vice": ("SEX ABUSE",),
        "Motor vehicle": ("MOTOR VEHICLE THEFT",),
        "Assault": ("ASSAULT W/DANGEROUS WEAPON",),
        "Other": ("THEFT F/AUTO",),
        "Theft": ("THEFT/OTHER",),
        "Burglary": ("BURGLARY",),
    },
    "san-francisco": {
        "Robbery": ("ROBBERY",),
        "Arson": ("ARSON",),
        "Vice": (
            "SEX OFFENSES FORCIBLE", "PROSTITUTION", "SEX OFFENSES NON FORCIBLE",
            "PORNOGRAPHY/OBSCENE MAT",
        ),
        "Motor vehicle": ("VEHICLE THEFT", "RECOVERED VEHICLE"),
        "Narcotics": ("DRUG/NARCOTIC",),
        "Assault": ("ASSAULT", "WEAPON LAWS", "DISORDERLY CONDUCT"),
        "Other": (
            "WARRANTS", "OTHER OFFENSES", "NON-CRIMINAL", "SUSPICIOUS OCC", "DRUNKENNESS",
            "FORGERY/COUNTERFEITING", "SECONDARY CODES", "MISSING PERSON", "FRAUD", "KIDNAPPING",
            "RUNAWAY", "DRIVING UNDER THE INFLUENCE", "FAMILY OFFENSES", "LIQUOR LAWS", "BRIBERY",
            "EMBEZZLEMENT", "SUICIDE", "LOITERING", "EXTORTION", "GAMBLING", "BAD CHECKS",
        ),
        "Theft": ("LARCENY/THEFT", "VANDALISM", "STOLEN PROPERTY"),
        "Burglary": ("BURGLARY", "TRESPASS", "TREA"),
    },
}  # fmt: skip
