import pytest

from olmix_core.lazy_imports import lazy_attributes
from olmix_core.storage.store import Store

GET = lazy_attributes("olmix_core", {"Store": "storage.store"})


def test_a_name_is_imported_from_its_module() -> None:
    assert GET("Store") is Store


def test_another_name_is_no_attribute() -> None:
    with pytest.raises(AttributeError, match="module 'olmix_core' has no attribute 'Shop'"):
        GET("Shop")
