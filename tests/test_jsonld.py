"""What search engines read: valid JSON whatever a card says, and nothing that the card does not."""

import json

import pytest
from rendered import HOSTILE

from effcc.claims.cff import Author, Software
from effcc.report import jsonld

CARD = """
# name

````bibtex
@article{key, title = {A paper}, author = {Doe, Jane and Max Muster},
  year = {2020}, eprint = {2001.00001}, journal = {A journal}}
````

```bibtex
@misc{other, title = {Another}}
```
"""


def test_a_model_cites_the_papers_of_its_card():
    entity = jsonld.model("name", "what it is", CARD, None)
    assert entity["@context"] == "https://schema.org"
    assert (entity["name"], entity["description"]) == ("name", "what it is")
    first, second = entity["citation"]
    assert first["name"] == "A paper"
    assert [author["name"] for author in first["author"]] == ["Jane Doe", "Max Muster"]
    assert first["datePublished"] == "2020"
    assert first["url"] == "https://arxiv.org/abs/2001.00001"
    assert second == {"@type": "ScholarlyArticle", "name": "Another"}


def test_what_is_not_known_is_not_said():
    nothing = Software("x", (), "", "", "", (), "")
    assert set(jsonld.software(nothing, None)) == {
        *("@context", "@type", "name", "programmingLanguage")
    }
    assert jsonld.software(nothing, "https://e.org/")["url"] == "https://e.org/"


def test_authors_of_the_software_are_persons_and_organizations():
    authors = (Author("Doe", "Jane"), Author("A group", is_person=False))
    entity = jsonld.software(Software("x", authors, "", "", "", (), ""), None)
    assert entity["author"] == [
        {"@type": "Person", "name": "Jane Doe"},
        {"@type": "Organization", "name": "A group"},
    ]


@pytest.mark.parametrize("text", [*HOSTILE, "</script><script>alert(1)</script>", "\u2028 <!--"])
def test_hostile_words_stay_words_inside_their_script_element(text):
    written = jsonld.text(
        jsonld.model(text, text, f"```bibtex\n@a{{k, title = {{{text}}}}}\n```", text)
    )
    assert not set("<>&\u2028\u2029") & set(written)
    entity = json.loads(written)
    assert (entity["name"], entity["description"]) == (text, text)
