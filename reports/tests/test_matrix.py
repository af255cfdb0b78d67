"""The detection matrix from a document of three clauses, as text and as a page."""

import re

from reports.matrix import matrix_text, read_matrix, write_matrix


def defect(name, killers, survives="", recorded=()):
    return {
        "name": name,
        "says": f"It is {name}.",
        "breaks": list(killers) or ["C-3"],
        "realism": "plausible slip",
        "survives": survives,
        "killers": killers,
        "noticed": [],
        "recorded": list(recorded),
    }


def clause(id_, says="says"):
    return {"id": id_, "level": "must", "observable": "yes", "says": says}


def document(accused=()):
    return {
        "format": 1,
        "profile": "p",
        "clauses": [clause("C-1"), clause("C-2"), clause("C-3", "a <b> & c")],
        "cases": [
            {"id": f"X-00{number}", "says": "s", "level": level}
            for number, level in enumerate(["must"] * 9 + ["observe"])
        ],
        "defects": [
            defect("forgets", {"C-1": [f"X-00{number}" for number in range(8)], "C-2": ["X-001"]}),
            defect("lies", {"C-1": ["X-008"]}),
            defect("open<script>", {}, "Q-01: nobody says", ["X-009"]),
        ],
        "variants": [
            {"name": "other-order", "says": "It turns.", "allowed": "HTTP", "accused": list(accused), "reach": 7}
        ],
    }


def test_clauses_keep_their_order_and_their_defects():
    matrix = read_matrix(document())
    assert [(row.clause["id"], [name["name"] for name, _ in row.defects]) for row in matrix.rows] == [
        ("C-1", ["forgets", "lies"]),
        ("C-2", ["forgets"]),
    ]
    assert [unseen["id"] for unseen in matrix.unseen] == ["C-3"]
    assert (matrix.defects, matrix.killed, matrix.proven, matrix.cases) == (3, 2, 9, 9)


def test_the_text_names_at_most_six_cases_of_a_row_and_every_defect_once():
    text = matrix_text(document())
    assert "| C-1 | must | forgets | X-000, X-001, X-002, X-003, X-004, X-005 and 2 more |" in text
    assert "|  |  | lies | X-008 |" in text
    assert "| open<script> | It is open<script>. | Q-01: nobody says |" in text
    assert text.count("| forgets | It is forgets. | plausible slip |") == 1
    assert "2 of 3 planted defects" in text
    assert "9 of 9 judging cases" in text
    assert "0 of 1 harmless variants are accused" in text
    assert "1 of 1 harmless variants are accused" in matrix_text(document(["X-001"]))


def test_the_page_stands_alone_and_believes_nothing(tmp_path):
    write_matrix(document(["X-003"]), tmp_path / "matrix.html")
    page = (tmp_path / "matrix.html").read_text("utf-8")
    assert "<script" not in page
    assert "open&lt;script&gt;" in page
    assert "a &lt;b&gt; &amp; c" in page
    assert not re.search(r"(src|href)=", page)
    assert "default-src 'none'" in page
    assert "1 harmless variants, 1 accused" in page
    for case in (f"X-00{number}" for number in range(9)):
        assert f"<code>{case}</code>" in page
