"""Documents of every version of the schema: still read, still computed, and as the published schema says."""

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from trainedon.evidence import (
    STANDARD_1,
    STANDARD_2,
    Audit,
    Evaluation,
    audit_table,
    evaluate_table,
    read_scores,
    schemas,
    to_json,
)

GOLDEN = Path(__file__).parent / "golden"
PUBLISHED = Path(__file__).parents[2] / "docs" / "schemas"
KINDS = {"audit": (Audit, audit_table), "evaluation": (Evaluation, evaluate_table)}


def close(first, second):
    """Equal but for the last digits of numbers."""
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(close(first[key], second[key]) for key in first)
    if isinstance(first, list):
        return len(first) == len(second) and all(map(close, first, second))
    return second == pytest.approx(first, rel=1e-9) if isinstance(first, float) else first == second


@pytest.mark.parametrize("rules", [STANDARD_1, STANDARD_2], ids=lambda rules: rules.name)
@pytest.mark.parametrize("kind", KINDS)
def test_the_golden_document_is_read_and_computed_again(kind, rules):
    stored = (GOLDEN / f"{kind}-{rules.schema_version}.json").read_text()
    model, compute = KINDS[kind]
    assert to_json(model.model_validate_json(stored)) == stored
    found = json.loads(to_json(compute(read_scores(GOLDEN / f"{kind}.csv"), rules=rules)))
    assert close(json.loads(stored), found)


def test_the_golden_documents_show_what_there_is_to_show():
    found = Audit.model_validate_json((GOLDEN / "audit-1.json").read_text())
    assert found.cdi is not None and found.set.part is not None and found.set.needed.each is not None
    assert found.duplicates.n_near == 4 and found.attacks[0].n_not_scored == 2
    other = Evaluation.model_validate_json((GOLDEN / "evaluation-1.json").read_text())
    assert other.agreement is not None and other.attacks[0].tpr_at_fpr["0.01"].estimable
    assert other.attacks[1].n_tied > 0


@pytest.mark.parametrize(
    ("name", "version"),
    [("run", 2), ("audit", 2), ("evaluation", 2), ("peaks", 1), ("sweep", 2), ("draw", 1), ("compare", 1)],
)
def test_published_schemas_are_those_of_the_code(name, version):
    place = f"docs/schemas/{name}-{version}.json"
    text = (PUBLISHED.parents[1] / place).read_text()
    assert text == schemas()[name], f"write it again: trainedon schema {name} > {place}"
    Draft202012Validator.check_schema(json.loads(text))


@pytest.mark.parametrize("kind", KINDS)
def test_documents_keep_the_published_schema_and_it_refuses_others(kind):
    check = Draft202012Validator(json.loads((PUBLISHED / f"{kind}-1.json").read_text()))
    document = json.loads((GOLDEN / f"{kind}-1.json").read_text())
    assert check.is_valid(document)
    for change in ({"unknown": 1}, {"schema_version": 3}, {"flags": None}):
        assert not check.is_valid(document | change)
    assert not check.is_valid({key: value for key, value in document.items() if key != "blind"})
