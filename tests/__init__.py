"""The tests, laid as the packages are; what several of them need stands in `support` here and beside them."""

from pathlib import Path

#: the checkout: processes that tests start run there
ROOT = Path(__file__).resolve().parents[1]
