"""Tell people of failures: one readable summary in the log, and to a webhook if there is one.

The hook is on every asset, so it works however a run was launched: by hand, by a backfill, by a
sensor or by a condition.
"""

# No `from __future__ import annotations`: Dagster reads the type of a hook's context as it stands.

import dagster as dg
import requests

from crime_assets.settings import Settings

TIMEOUT_S = 10.0
LONGEST = 3000
"""Characters of a summary: what a chat shows without folding it."""


def tell(settings: Settings, summary: str) -> str | None:
    """Post ``summary`` to CRIME_ALERT_WEBHOOK; what went wrong, or ``None``.

    Never raises: that nobody was told is no reason to fail. The address is a secret and is in no
    message.
    """
    if settings.alert_webhook is None:
        return None
    try:
        answer = requests.post(
            settings.alert_webhook, json={"text": summary[:LONGEST]}, timeout=TIMEOUT_S
        )
    except requests.RequestException as error:
        return f"the webhook could not be told: {type(error).__name__}"
    return None if answer.ok else f"the webhook answered {answer.status_code}"


@dg.failure_hook(required_resource_keys={"settings"})
def alert_on_failure(context: dg.HookContext) -> None:
    """Log what failed, of which run, and why; post the same to the webhook."""
    error = context.op_exception
    reason = (error.description if isinstance(error, dg.Failure) else str(error)) or repr(error)
    summary = f"{context.op.name} failed in run {context.run_id[:8]} ({context.job_name}): {reason}"
    context.log.error(summary)
    if wrong := tell(context.resources.settings, summary):
        context.log.warning(wrong)
