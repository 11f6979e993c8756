"""What several test files of this room use."""

from collections.abc import Callable
from pathlib import Path

import pytest
from lxml import etree

Validate = Callable[[bytes], None]


@pytest.fixture(scope="session")
def validate() -> Validate:
    """Fails with the schema's words when a stanza has not the shape of the reference."""
    schema = etree.RelaxNG(etree.parse(str(Path(__file__).parent / "stanzas.rng")))

    def check(stanza: bytes) -> None:
        document = etree.fromstring(stanza.strip())
        schema.assertValid(document)

    return check
