"""stub"""
from typing import Any
MEASURES: dict[str, Any] = {}
def claims_text(book: Any) -> str: return ""
