"""Published weights: fetched over https alone, whole or not at all, and never taken on trust."""

import dataclasses
import hashlib
import io
import os
import subprocess
import sys
import urllib.request

import https
import pytest

import effcc
from effcc import cli
from effcc.catalog.spec import Weights
from effcc.ground.errors import UserError
from effcc.nn import published
from effcc.nn.published import BadDownload, NotPublished, Published

CONTENT = bytes(range(256)) * 9000  # more than one piece of a download
SHA256 = hashlib.sha256(CONTENT).hexdigest()
NAME = f"net-{SHA256[:8]}.pth"


@pytest.fixture(scope="module")
def certified(tmp_path_factory):
    return https.authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EFFCC_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "weights"


@pytest.fixture
def server(certified, cache, monkeypatch):
    certificate, authority = certified
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    with https.serve(certificate) as served:
        served.files[f"/{NAME}"] = CONTENT
        yield served


def at(server, name=NAME, digits=SHA256[:8]):
    return Published("cc_b0_4e", f"{server.address}/{name}", digits)


def of(url, sha256=None):
    """The published weights of a spec that states these."""
    return Published.of(dataclasses.replace(effcc.load("cc_b0_4e"), weights=Weights(url, sha256)))


def left(cache):
    """What lies in the cache, locks apart."""
    return sorted(path.name for path in cache.iterdir() if path.suffix != ".lock")


def test_a_file_arrives_whole_once_with_its_progress(server, cache):
    seen = []
    path = published.pull(at(server), progress=lambda *now: seen.append(now))
    assert path == cache / NAME
    assert path.read_bytes() == CONTENT
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert len(seen) > 1
    assert published.pull(at(server)) == path
    assert server.asked == [(f"/{NAME}", None)]
    assert left(cache) == [NAME]


def test_a_broken_download_is_kept_and_goes_on_where_it_was(server, cache):
    server.break_after = 1_500_000
    with pytest.raises(BadDownload, match=r"broke off.* 1\.5 MB, which are kept.*--file"):
        published.pull(at(server))
    assert left(cache) == [f"{NAME}.part"]
    server.break_after = None
    assert published.pull(at(server)).read_bytes() == CONTENT
    assert server.asked[-1] == (f"/{NAME}", "bytes=1500000-")
    assert left(cache) == [NAME]


def test_a_server_that_knows_no_ranges_sends_it_all_again(server, cache):
    server.break_after, server.ranges = 1_500_000, False
    with pytest.raises(BadDownload):
        published.pull(at(server))
    server.break_after = None
    assert published.pull(at(server)).read_bytes() == CONTENT


@pytest.mark.parametrize("extra", [b"", b"more"])
def test_a_part_that_is_complete_or_too_long_ends_well(server, cache, extra):
    # Somebody was stopped between the last byte and the check.
    cache.mkdir(parents=True)
    (cache / f"{NAME}.part").write_bytes(CONTENT + extra)
    if extra:
        with pytest.raises(BadDownload, match="thrown away"):
            published.pull(at(server))
    assert published.pull(at(server)).read_bytes() == CONTENT


def test_another_file_than_its_name_says_is_thrown_away(server, cache):
    server.files[f"/{NAME}"] = CONTENT[:-1] + b"!"
    with pytest.raises(BadDownload, match=rf"not {SHA256[:8]}; what arrived was thrown away"):
        published.pull(at(server))
    assert left(cache) == []


def test_the_whole_hash_counts_where_it_is_stated(server, cache):
    wrong = SHA256[:8] + "0" * 56
    with pytest.raises(BadDownload, match=wrong):
        published.pull(at(server, digits=wrong))
    assert published.pull(at(server, digits=SHA256)).read_bytes() == CONTENT


def test_a_damaged_file_in_the_cache_is_fetched_again(server, cache):
    path = published.pull(at(server))
    path.write_bytes(CONTENT[:-1])
    assert published.cached(at(server)) is None
    assert published.pull(at(server)).read_bytes() == CONTENT


def test_redirects_are_followed_to_https_only(certified, server, cache):
    server.moved["/old/" + NAME] = f"{server.address}/{NAME}"
    assert published.pull(at(server, f"old/{NAME}")).read_bytes() == CONTENT
    (cache / NAME).unlink()
    with https.serve(certified[0], protect=False) as plain:
        plain.files[f"/{NAME}"] = CONTENT
        server.moved["/old/" + NAME] = f"{plain.address}/{NAME}"
        with pytest.raises(BadDownload, match="only https:// addresses are fetched"):
            published.pull(at(server, f"old/{NAME}"))
        assert plain.asked == []
    server.moved["/old/" + NAME] = "file:///etc/passwd"
    with pytest.raises(BadDownload):
        published.pull(at(server, f"old/{NAME}"))
    assert left(cache) == []


@pytest.fixture
def outside(monkeypatch):
    """The server that files name, localhost, counts as a host of the whole net."""
    really = published.is_public
    monkeypatch.setattr(
        published, "is_public", lambda host, at: host == "localhost" or really(host, at)
    )


@pytest.mark.parametrize("asked", ["127.0.0.1", "[::ffff:127.0.0.1]"])
def test_a_public_host_leads_nowhere_inside(server, cache, outside, asked):
    port = server.address.rpartition(":")[2]
    server.moved["/old/" + NAME] = f"https://{asked}:{port}/{NAME}"
    with pytest.raises(BadDownload) as caught:
        published.pull(at(server, f"old/{NAME}"))
    if asked == "127.0.0.1":
        assert "leads to 127.0.0.1, which is of this machine or its network" in str(caught.value)
    assert [path for path, _ in server.asked] == ["/old/" + NAME]  # nothing was said to the other
    assert left(cache) == []


def test_a_public_host_leads_nowhere_inside_however_its_name_is_written(server, cache, outside):
    port = server.address.rpartition(":")[2]
    server.moved["/old/" + NAME] = f"https://127.0.0.1:{port}/{NAME}"
    named = Published("cc_b0_4e", f"https://LocalHost:{port}/old/{NAME}", SHA256[:8])
    with pytest.raises(BadDownload, match=r"leads to 127\.0\.0\.1, which is of this machine"):
        published.pull(named)
    assert [path for path, _ in server.asked] == ["/old/" + NAME]


def test_a_public_host_that_is_inside_when_asked_again_leads_nowhere(server, cache, monkeypatch):
    answers = iter([True, False])  # its name leads elsewhere the second time
    monkeypatch.setattr(published, "is_public", lambda host, at: next(answers))
    server.moved["/old/" + NAME] = f"/{NAME}"
    with pytest.raises(BadDownload, match="leads to localhost, which is of this machine"):
        published.pull(at(server, f"old/{NAME}"))
    assert [path for path, _ in server.asked] == ["/old/" + NAME]
    assert left(cache) == []


def test_a_host_inside_leads_back_inside_through_no_public_one(server, cache, monkeypatch):
    answers = iter([False, True, False])
    monkeypatch.setattr(published, "is_public", lambda host, at: next(answers))
    server.moved["/old/" + NAME] = f"/older/{NAME}"
    server.moved["/older/" + NAME] = f"/{NAME}"
    with pytest.raises(BadDownload, match="leads to localhost, which is of this machine"):
        published.pull(at(server, f"old/{NAME}"))
    assert [path for path, _ in server.asked] == ["/old/" + NAME, "/older/" + NAME]


def test_whoever_names_a_host_inside_may_be_led_on_by_it(server, cache):
    port = server.address.rpartition(":")[2]
    server.moved["/old/" + NAME] = f"https://127.0.0.1:{port}/{NAME}"
    assert published.pull(at(server, f"old/{NAME}")).read_bytes() == CONTENT


def test_a_redirect_on_the_same_host_is_no_way_inside(server, cache, outside):
    server.moved["/old/" + NAME] = f"/{NAME}"
    assert published.pull(at(server, f"old/{NAME}")).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("host", "address", "public"),
    [
        ("e.org", "93.184.215.14", True),
        ("e.org", "2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        *(("e.org", inside, False) for inside in ("127.0.0.1", "10.1.2.3", "172.16.0.1", "::1")),
        *(("e.org", inside, False) for inside in ("192.168.0.1", "169.254.169.254", "0.0.0.0")),
        *(("e.org", inside, False) for inside in ("fe80::1%eth0", "fd00::1", "::ffff:10.0.0.1")),
        ("169.254.169.254", "169.254.169.254", False),
        ("[::1]", "[::1]", False),
        ("e.org", "e.org", True),  # by a proxy
        ("localhost", "localhost", False),
        ("LocalHost.", "LocalHost.", False),
        ("metadata.google.internal", "metadata.google.internal", False),
    ],
)
def test_what_is_inside_is_known_by_its_address(host, address, public):
    assert published.is_public(host, address) is public


def test_redirects_go_round_for_a_while_only(server, cache):
    server.moved["/old/" + NAME] = f"{server.address}/old/{NAME}"
    with pytest.raises(BadDownload, match="infinite loop"):
        published.pull(at(server, f"old/{NAME}"))
    assert len(server.asked) <= 11


def test_no_secret_goes_along(server, cache, monkeypatch, tmp_path):
    (tmp_path / ".netrc").write_text("machine localhost login me password secret\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    server.moved["/old/" + NAME] = f"{server.address}/{NAME}"
    published.pull(at(server, f"old/{NAME}"))
    for headers in server.headers:
        assert set(headers) <= {"Accept-Encoding", "Host", "User-Agent", "Connection", "Range"}


def test_what_is_for_a_proxy_is_not_told_to_whom_it_leads():
    asked = urllib.request.Request("https://a.org/x", headers={"User-Agent": "effcc"})
    asked.add_header("Proxy-authorization", "Basic c2VjcmV0")
    answer = io.BytesIO()
    new = published._Redirects().redirect_request(asked, answer, 302, "", {}, "https://b.org/x")
    assert new.headers == {"User-agent": "effcc"}


def test_a_server_that_drips_is_given_up(server, cache, monkeypatch):
    monkeypatch.setattr(published, "_WHILE", 0.3)
    server.drip = True
    with pytest.raises(BadDownload, match=r"only \d+ bytes a second came.* are kept; try again"):
        published.pull(at(server))


def test_a_certificate_of_nobody_known_is_refused(server, cache, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(BadDownload, match="certificate verify failed"):
        published.pull(at(server))
    assert server.asked == []


def test_what_never_ends_is_given_up(server, cache, monkeypatch):
    monkeypatch.setattr(published, "MAX_BYTES", len(CONTENT) - 1)
    with pytest.raises(BadDownload, match="more than weights ever have"):
        published.pull(at(server))
    server.length = 10**12
    with pytest.raises(BadDownload, match="1,000,000,000,000 bytes"):
        published.pull(at(server))


def test_no_server_and_no_file_are_one_line_that_says_how_to_go_on(server, cache):
    with pytest.raises(BadDownload, match=r"404: Not Found.*weights pull cc_b0_4e --file FILE"):
        published.pull(at(server, "gone-" + NAME))
    server.address = "https://localhost:1"
    with pytest.raises(BadDownload, match="Connection refused") as caught:
        published.pull(at(server))
    assert "\n" not in str(caught.value)


def test_several_processes_fetch_it_once(server, cache):
    code = (
        "import sys; from effcc.nn.published import Published, pull\n"
        "print(pull(Published('cc_b0_4e', *sys.argv[1:])))"
    )
    words = (sys.executable, "-c", code, f"{server.address}/{NAME}", SHA256)
    pulling = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert {process.communicate()[0].strip() for process in pulling} == {str(cache / NAME)}
    assert server.asked == [(f"/{NAME}", None)]


def test_a_copy_is_checked_like_a_download(cache, tmp_path):
    weights = Published("cc_b0_4e", f"https://nowhere.invalid/{NAME}", SHA256)
    good, bad = tmp_path / "copy", tmp_path / "other"
    good.write_bytes(CONTENT)
    bad.write_bytes(b"something else")
    with pytest.raises(BadDownload, match=r"other: SHA-256 begins with .*another file"):
        published.pull(weights, file=bad)
    with pytest.raises(BadDownload, match="no such file"):
        published.pull(weights, file=tmp_path / "none")
    assert left(cache) == []
    assert published.pull(weights, file=good).read_bytes() == CONTENT
    assert left(cache) == [NAME]
    assert good.exists()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://example.org/a-0123abcd.pth", "only https"),
        ("ftp://example.org/a-0123abcd.pth", "only https"),
        ("file:///etc/passwd-0123abcd.pth", "only https"),
        ("https:///a-0123abcd.pth", "only https"),
        ("https://[half/a-0123abcd.pth", "only https"),
        ("https://me:secret@example.org/a-0123abcd.pth", "holds a name or password"),
        ("https://example.org/", "does not end in the name of a file"),
        ("https://example.org/%2e%2e%2fa-0123abcd.pth", "does not end in the name of a file"),
        ("https://example.org/.hidden-0123abcd.pth", "does not end in the name of a file"),
    ],
)
def test_an_address_that_may_not_be_fetched_is_refused(url, said):
    with pytest.raises(UserError, match=said) as caught:
        of(url)
    assert "secret" not in str(caught.value)


def test_something_must_say_what_the_file_is():
    with pytest.raises(NotPublished, match=r"model\.safetensors has no hash.*sha256"):
        of("https://example.org/model.safetensors")
    with pytest.raises(NotPublished, match="another hash in its name"):
        of(f"https://example.org/{NAME}", "0" * 64)
    with pytest.raises(NotPublished, match="nobody published any"):
        Published.of(effcc.load("cc_pico_4e"))
    assert of(f"https://example.org/{NAME}").digits == SHA256[:8]
    stated = of("https://example.org/model.safetensors", SHA256)
    assert stated.digits == SHA256
    assert stated.path.name == f"model-{SHA256[:8]}.safetensors"  # not any variant's model


def test_the_shipped_entries_say_where_their_weights_are():
    for name in ("cc_b0_4e", "cc_b0_8e", "cc_b1_8e"):
        weights = Published.of(effcc.load(name))
        assert f"-{weights.digits}.pth" in weights.url
    assert published.is_published(effcc.load("cc_b0_4e"), "4362b6b2" + "0" * 56)
    assert not published.is_published(effcc.load("cc_b0_4e"), "0" * 64)
    assert not published.is_published(effcc.load("cc_pico_4e"), "0" * 64)


@pytest.fixture
def variant(project, server):
    """A project whose cc_b0_4e is published on this machine."""
    file = project.registry / "cc_b0_4e.yaml"
    url = f"{server.address}/{NAME}"
    file.write_text(file.read_text() + f"weights: {{url: '{url}', sha256: {SHA256}}}\n")
    return project


def test_the_command_fetches_lists_and_says_how_to_go_on(variant, server, cache):
    def run(*words):
        return subprocess.run(
            [sys.executable, "-W", "error", "-m", "effcc", "weights", *words],
            capture_output=True,
            text=True,
            env=os.environ | {"HOME": str(variant.root)},
        )

    before = {line.split()[0]: line for line in run("list").stdout.splitlines()}
    assert " no " in before["cc_b0_4e"]
    assert "none published" in before["cc_pico_4e"]
    pulled = run("pull", "cc_b0_4e")
    assert (pulled.returncode, pulled.stderr) == (0, "")
    assert str(cache / NAME) in pulled.stdout
    assert "--recipe.pretrained true" in pulled.stdout
    assert " yes " in run("list").stdout.splitlines()[1]


def test_the_command_takes_a_copy(variant, cache, tmp_path, capsys):
    (tmp_path / "copy.pth").write_bytes(CONTENT)
    assert cli.main(["weights", "pull", "cc_b0_4e", "--file", str(tmp_path / "copy.pth")]) == 0
    assert (cache / NAME).read_bytes() == CONTENT
    assert cli.main(["weights", "pull", "cc_pico_4e"]) == 3
    assert cli.main(["weights", "pull"]) == 2
    assert "cc_b0_8e" in capsys.readouterr().err


def test_fetching_needs_no_torch(variant):
    code = (
        "import sys; from effcc.cli import main\n"
        "assert main(['weights', 'pull', 'cc_b0_4e']) == main(['weights', 'list']) == 0\n"
        "assert not {'torch', 'numpy', 'safetensors'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
