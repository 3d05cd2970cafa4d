"""What refers to a manifest: told by the push, listed, filtered, and gone with the referrer."""
import urllib.parse

import pytest
from push import (EMPTY, OTHER, REPO, check_manifest, descriptor, encode, image_body, index_body,
                  manifest_path, put_blob, put_manifest, sha512_of)
from registry import CONFIG, INDEX, MANIFEST, digest_of, noise

SBOM, SIGNATURE = "application/spdx+json", "application/vnd.example.signature.v1"
CONFIGURED = "application/vnd.example.config+json"
NOTE = {"org.example.note": "first", "org.example.other": "zwei"}


@pytest.fixture
def lar(larder):
    made = larder()
    put_blob(made, b"{}")
    return made


def referrers(lar, digest, repo=REPO, query=""):
    """The list of descriptors, whose frame must be right; and the answer."""
    reply = lar.get(f"/v2/{repo}/referrers/{digest}{query}")
    assert reply.status == 200 and reply.complete, reply
    assert reply.headers["content-type"] == INDEX
    body = reply.json()
    assert (body["schemaVersion"], body["mediaType"]) == (2, INDEX)
    return sorted(body["manifests"], key=lambda one: one["digest"]), reply


def by_digest(*descriptors):
    return sorted(descriptors, key=lambda one: one["digest"])


def artifact(subject, kind=SBOM, annotations=None, **members):
    return image_body(config=EMPTY, layers=[EMPTY], artifactType=kind, annotations=annotations,
                      subject=descriptor(subject, MANIFEST), **members)


def put_referrer(lar, body, subject, media_type=MANIFEST, repo=REPO, reference=None):
    reply = put_manifest(lar, reference or digest_of(body), body, media_type, repo)
    assert reply.headers["oci-subject"] == digest_of(subject)
    return reply


SUBJECT = image_body(annotations={"subject": "of all"})


@pytest.mark.parametrize("repo", [REPO, "stage/never/seen"])
@pytest.mark.parametrize("digest", [digest_of(b"nothing"), sha512_of(b"nothing")],
                         ids=["sha256", "sha512"])
def test_none(lar, repo, digest):
    listed, reply = referrers(lar, digest, repo)
    assert listed == [] and reply.headers["content-length"] == str(len(reply.body))


@pytest.mark.parametrize("digest", ["sha256:junk", "sha256:" + "A" * 64, "latest",
                                    "md5:" + "a" * 32])
def test_no_digest(lar, digest):
    reply = lar.get(f"/v2/{REPO}/referrers/{digest}")
    assert (reply.status, reply.code()) == (400, "DIGEST_INVALID")


@pytest.mark.parametrize("first", ["subject", "referrer"])
def test_listed(lar, first):
    """The subject may come later, or never."""
    body = artifact(SUBJECT, annotations=NOTE)
    if first == "subject":
        put_manifest(lar, "1", SUBJECT)
    put_referrer(lar, body, SUBJECT)
    expected = [descriptor(body, MANIFEST, artifactType=SBOM, annotations=NOTE)]
    assert referrers(lar, digest_of(SUBJECT))[0] == expected
    if first == "referrer":
        put_manifest(lar, "1", SUBJECT)
    assert referrers(lar, digest_of(SUBJECT))[0] == expected
    assert referrers(lar, digest_of(body))[0] == []
    check_manifest(lar.get(manifest_path(digest_of(body))), body)


def every_kind():
    """Bodies, media types, and what the list is to say of each."""
    image = artifact(SUBJECT, annotations=NOTE)
    plain = image_body(config_type=CONFIGURED, subject=descriptor(SUBJECT, MANIFEST))
    index = index_body(artifactType=SIGNATURE, subject=descriptor(SUBJECT, MANIFEST),
                       annotations={"a": ""})
    silent = index_body(subject=descriptor(SUBJECT, MANIFEST))
    return [(image, MANIFEST, {"artifactType": SBOM, "annotations": NOTE}),
            (plain, MANIFEST, {"artifactType": CONFIGURED}),
            (index, INDEX, {"artifactType": SIGNATURE, "annotations": {"a": ""}}),
            (silent, INDEX, {})]


def test_kinds(lar):
    """An image without artifactType is of its configuration's type, an index of none."""
    expected = []
    for body, media_type, said in every_kind():
        put_referrer(lar, body, SUBJECT, media_type)
        expected.append(descriptor(body, media_type, **said))
    assert referrers(lar, digest_of(SUBJECT))[0] == by_digest(*expected)


def test_filter(lar):
    kinds = every_kind()
    for body, media_type, _ in kinds:
        put_referrer(lar, body, SUBJECT, media_type)
    for kind in (SBOM, SIGNATURE, CONFIGURED, "application/none"):
        for quoted in (urllib.parse.quote(kind, safe=""), kind.replace("+", "%2B")):
            listed, reply = referrers(lar, digest_of(SUBJECT), query="?artifactType=" + quoted)
            assert reply.headers["oci-filters-applied"] == "artifactType"
            assert listed == by_digest(*(
                descriptor(body, media_type, **said) for body, media_type, said in kinds
                if said.get("artifactType") == kind))
    assert "oci-filters-applied" not in referrers(lar, digest_of(SUBJECT))[1].headers


def test_by_tag_and_pushed_again(lar):
    body = artifact(SUBJECT)
    for reference in ("sig", "sig2", None, "sig"):
        put_referrer(lar, body, SUBJECT, reference=reference)
    assert len(referrers(lar, digest_of(SUBJECT))[0]) == 1


def test_sha512(lar):
    subject = {"mediaType": MANIFEST, "size": len(SUBJECT), "digest": sha512_of(SUBJECT)}
    body = image_body(artifactType=SBOM, subject=subject)
    reply = put_manifest(lar, sha512_of(body), body)
    assert reply.headers["oci-subject"] == sha512_of(SUBJECT)
    listed, _ = referrers(lar, sha512_of(SUBJECT))
    assert [one["digest"] for one in listed] == [sha512_of(body)]
    assert referrers(lar, digest_of(SUBJECT))[0] == []


def test_each_repository_has_its_own(lar):
    put_blob(lar, b"{}", OTHER)
    here, there = artifact(SUBJECT), artifact(SUBJECT, SIGNATURE)
    put_referrer(lar, here, SUBJECT)
    put_referrer(lar, there, SUBJECT, repo=OTHER)
    for repo, body, kind in ((REPO, here, SBOM), (OTHER, there, SIGNATURE)):
        expected = [descriptor(body, MANIFEST, artifactType=kind)]
        assert referrers(lar, digest_of(SUBJECT), repo)[0] == expected
    put_referrer(lar, here, SUBJECT, repo=OTHER)
    assert lar.delete(manifest_path(digest_of(here))).status == 202
    assert referrers(lar, digest_of(SUBJECT))[0] == []
    assert len(referrers(lar, digest_of(SUBJECT), OTHER)[0]) == 2


def test_gone_with_the_referrer(lar):
    bodies = [artifact(SUBJECT, annotations={"n": str(n)}) for n in range(3)]
    for body in bodies:
        put_referrer(lar, body, SUBJECT)
    put_manifest(lar, "1", SUBJECT)
    for n, body in enumerate(bodies):
        assert lar.delete(manifest_path(digest_of(body))).status == 202
        listed, _ = referrers(lar, digest_of(SUBJECT))
        assert {one["digest"] for one in listed} == {digest_of(rest) for rest in bodies[n + 1:]}


def test_subject_goes_first(lar):
    """What refers to it is still there, and refers to it again when it comes back."""
    body = artifact(SUBJECT)
    put_manifest(lar, "1", SUBJECT)
    put_referrer(lar, body, SUBJECT)
    assert lar.delete(manifest_path(digest_of(SUBJECT))).status == 202
    assert len(referrers(lar, digest_of(SUBJECT))[0]) == 1
    check_manifest(lar.get(manifest_path(digest_of(body))), body)
    put_manifest(lar, "1", SUBJECT)
    assert len(referrers(lar, digest_of(SUBJECT))[0]) == 1


def test_chain(lar):
    """A signature of a bill of materials of an image."""
    sbom = artifact(SUBJECT)
    signature = artifact(sbom, SIGNATURE)
    for body, subject in ((signature, sbom), (sbom, SUBJECT)):
        put_referrer(lar, body, subject)
    assert [one["digest"] for one in referrers(lar, digest_of(SUBJECT))[0]] == [digest_of(sbom)]
    assert [one["digest"] for one in referrers(lar, digest_of(sbom))[0]] == [digest_of(signature)]


def test_survives_a_kill(lar):
    body = artifact(SUBJECT, annotations=NOTE)
    put_referrer(lar, body, SUBJECT)
    lar.kill()
    lar.start()
    assert referrers(lar, digest_of(SUBJECT))[0] == [
        descriptor(body, MANIFEST, artifactType=SBOM, annotations=NOTE)]


def all_pages(lar, digest, query=""):
    listed, pages = [], 0
    path = f"/v2/{REPO}/referrers/{digest}{query}"
    while path:
        reply = lar.get(path)
        assert reply.status == 200 and len(reply.body) <= 4 * 1024 * 1024
        listed += reply.json()["manifests"]
        pages += 1
        link = reply.headers.get("link", "")
        assert not link or link.endswith('; rel="next"')
        path = link[1:link.index(">")] if link else None
    return listed, pages


def test_many_and_large(lar):
    """What one answer cannot hold (4 MiB) comes in pages."""
    bodies = [artifact(SUBJECT, annotations={"n": f"{n} " + "x" * 400_000}) for n in range(14)]
    for body in bodies:
        put_referrer(lar, body, SUBJECT)
    for query in ("", "?artifactType=" + urllib.parse.quote(SBOM)):
        listed, pages = all_pages(lar, digest_of(SUBJECT), query)
        assert pages > 1 and len(listed) == 14
        assert {one["digest"] for one in listed} == {digest_of(body) for body in bodies}


def test_pages_of_one_kind(lar):
    """The filter goes on to the next page."""
    sboms = [artifact(SUBJECT, annotations={"n": f"{n} " + "x" * 400_000}) for n in range(9)]
    others = [artifact(SUBJECT, "application/x-other", annotations={"n": str(n)})
              for n in range(40)]
    for body in sboms + others:
        put_referrer(lar, body, SUBJECT)
    listed, pages = all_pages(lar, digest_of(SUBJECT), "?artifactType=" + urllib.parse.quote(SBOM))
    assert pages > 1
    assert {one["digest"] for one in listed} == {digest_of(body) for body in sboms}


def test_pages_while_referrers_go(lar):
    """The one that a page ended with may be gone when the next page is asked for."""
    bodies = [artifact(SUBJECT, annotations={"n": f"{n} " + "x" * 400_000}) for n in range(14)]
    for body in bodies:
        put_referrer(lar, body, SUBJECT)
    path = f"/v2/{REPO}/referrers/{digest_of(SUBJECT)}"
    reply = lar.get(path)
    first = [one["digest"] for one in reply.json()["manifests"]]
    link = reply.headers["link"]
    assert lar.delete(manifest_path(first[-1])).status == 202
    rest = lar.get(link[1:link.index(">")]).json()["manifests"]
    assert {*first, *(one["digest"] for one in rest)} == {digest_of(body) for body in bodies}
    for last in ("x", "", "sha256:" + "A" * 64):
        reply = lar.get(path + "?last=" + last)
        assert (reply.status, reply.code()) == (400, "PAGINATION_NUMBER_INVALID")


def test_fallback_tags_are_ordinary_tags(lar):
    """Clients that knew no referrers API wrote such tags; nothing else is read into them."""
    tag = digest_of(SUBJECT).replace(":", "-")
    assert lar.get(manifest_path(tag)).status == 404
    assert lar.get(manifest_path(tag + ".sig")).status == 404
    index = encode({"schemaVersion": 2, "mediaType": INDEX, "manifests": []})
    put_manifest(lar, tag, index, INDEX)
    check_manifest(lar.get(manifest_path(tag)), index, INDEX)
    put_manifest(lar, tag + ".sig", image_body(config=descriptor(noise(10), CONFIG)))
    assert lar.get(manifest_path(tag + ".sig")).status == 200
