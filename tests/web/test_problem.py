from __future__ import annotations

import json
from http import HTTPStatus

from faceanond.web.problem import problem


def test_a_problem_names_the_error_and_the_detail_and_is_not_kept() -> None:
    response = problem(HTTPStatus.TOO_MANY_REQUESTS, "slow down", {"Retry-After": "3"})
    assert response.status == 429
    assert response.content_type == "application/problem+json"
    assert json.loads(response.text or "") == {
        "type": "about:blank",
        "title": "Too Many Requests",
        "status": 429,
        "error": "too many requests",
        "detail": "slow down",
    }
    assert response.headers["Retry-After"] == "3"
    assert response.headers["Cache-Control"] == "no-store"
