"""The London study of 2011 to 2024, reproduced, and asked what its random split was worth."""
