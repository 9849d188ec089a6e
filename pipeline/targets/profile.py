"""The credentials of a profile of AWS, with single sign-on and assumed roles, which obstore leaves to boto3."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.base.fault import Fault, show_name
from pipeline.targets.failures import NO_CREDENTIALS, Failed, Failure

if TYPE_CHECKING:
    from obstore.auth.boto3 import Boto3CredentialProvider
    from obstore.store import S3Config, S3Credential

# Credentials that obstore finds without a profile.
_AMBIENT = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_SKIP_SIGNATURE",
)


class Profile:
    """Gives a profile's credentials to obstore whenever it asks, and renews them; see its S3CredentialProvider.

    Attributes:
        config: the settings that obstore reads from it.
    """

    def __init__(self, provider: "Boto3CredentialProvider") -> None:
        self._provider = provider
        self.config: S3Config = provider.config

    @property
    def region(self) -> str:
        """The profile's region, perhaps empty."""
        return str(self.config.get("region", ""))

    def __call__(self) -> "S3Credential":
        """Returns credentials that are valid now.

        Raises:
            Failed: when they have expired and cannot be renewed; boto3's texts may have parts of them.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            return self._provider()
        except (BotoCoreError, ClientError):
            raise Failed(Failure(0, reason=NO_CREDENTIALS)) from None


def find_profile(address: str) -> Profile | None:
    """Returns the profile that AWS_PROFILE names, or the default one, when the environment has no credentials, or None.

    Raises:
        Fault: when boto3 is missing, or the profile has no credentials.
    """
    if any(os.environ.get(name) for name in _AMBIENT):
        return None
    file = Path(os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials").expanduser()
    if not (os.environ.get("AWS_PROFILE") or file.exists()):
        return None
    try:
        from obstore.auth.boto3 import Boto3CredentialProvider
    except ImportError:
        raise Fault(
            f"{address}: the credentials of a profile need boto3; install it with pip install boto3, or put them"
            ' into the environment: eval "$(aws configure export-credentials --format env)"'
        ) from None
    from botocore.exceptions import BotoCoreError

    try:
        return Profile(Boto3CredentialProvider())
    except (BotoCoreError, ValueError) as error:
        raise Fault(
            f"{address}: the profile {show_name(os.environ.get('AWS_PROFILE', 'default'))} has no credentials that can"
            f" be used ({type(error).__name__}); run aws sts get-caller-identity to see why"
        ) from None
