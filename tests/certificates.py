"""Certificates of an authority of one's own, for real servers on this machine."""

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

_PEM, _DAY = serialization.Encoding.PEM, datetime.timedelta(days=1)


class Authority:
    """An authority as an organisation runs one.

    Attributes:
        certificate: its certificate, a PEM file.
    """

    def __init__(self, folder: Path) -> None:
        """Makes its key and certificate; the files lie in the folder, which is created if it is missing."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._key, self._name = (
            folder,
            ec.generate_private_key(ec.SECP256R1()),
            _name(f"Authority of {folder.name}"),
        )
        builder = _builder(self._name, self._name, self._key, -1, 1)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        builder = builder.add_extension(
            x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False
        )
        self.certificate = folder / "authority.pem"
        self.certificate.write_bytes(builder.sign(self._key, hashes.SHA256()).public_bytes(_PEM))

    def issue(self, host: str = "127.0.0.1", days: tuple[int, int] = (-1, 1)) -> Path:
        """Returns a PEM file with a server's certificate, valid between two days from now, and its key.

        Args:
            host: the address that it is for.
            days: the first and the last day of its validity, from now.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))])
        builder = _builder(_name(host), self._name, key, *days).add_extension(address, critical=False)
        of_authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        builder = builder.add_extension(of_authority, critical=False)
        path = self._folder / f"{host} {days[0]} {days[1]}.pem"
        form, secret = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        certificate = builder.sign(self._key, hashes.SHA256()).public_bytes(_PEM)
        path.write_bytes(certificate + key.private_bytes(_PEM, form, secret))
        return path


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, first: int, last: int
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return x509.CertificateBuilder(
        issuer, subject, key.public_key(), x509.random_serial_number(), now + first * _DAY, now + last * _DAY
    )
