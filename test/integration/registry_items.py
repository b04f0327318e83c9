"""What must be tested of images in registries, and by what: item -> test, by program. Each program sees to it that its own were
run; registry_names.py, that the programs are there, and the unit tests in them."""

ITEMS = {
    "test_image": {
        "names: Docker Hub": "test_hub", "names: domains": "test_domain", "names: paths": "test_path", "names: tags": "test_tag",
        "names: digests": "test_digest", "names: lengths": "test_lengths", "names: parts": "test_parts",
    },
    "test_registry_parts": {
        "keys: what matches": "test_keys", "keys: order": "test_key_order", "keys: logins": "test_logins",
        "auth: challenges": "test_challenges",
    },
    "registry_names.py": {
        "names: none": "names that are none", "names: the same": "names that are the same",
        "names: tag and digest": "names with tag and digest",
    },
    "registry.py": {
        "accept: OCI index": "accept matrix: OCI index", "accept: OCI manifest": "accept matrix: OCI manifest",
        "accept: Docker list": "accept matrix: Docker list", "accept: Docker manifest": "accept matrix: Docker manifest",
        "accept: schema 1": "schema 1 is not known",
        "sizes: -5": "malformed sizes are denied: -5", "sizes: null": "malformed sizes are denied: null",
        'sizes: "12"': 'malformed sizes are denied: "12"', "sizes: 1e10": "malformed sizes are denied: 1e10",
        "sizes: 2^63-1": "malformed sizes are denied: 2^63-1", "sizes: 2^63": "malformed sizes are denied: 2^63",
        "sizes: duplicated digest": "one blob twice counts once", "sizes: sum overflow": "sum of sizes does not overflow",
        "sizes: missing layers": "layers missing", "sizes: layers: []": "layers none",
        "index: attestation child": "index with attestations", "index: nested": "index nested",
        "index: nested for ever": "index in itself forever", "index: empty": "index empty",
        "index: arm64-only": "index arm64 only", "index: unknown media type": "index unknown media type",
        "index: child digest mismatch": "index child digest mismatch",
        "index: child length mismatch": "index child length mismatch", "index: 2,000 children": "index of 2000",
        "config: history absent": "history: absent", "config: history null": "history: null",
        "config: history misaligned": "history: misaligned",
        "config: history buildah-squashed": "history squashed by buildah",
        "config: digest mismatch": "config digest mismatch", "config: data inline": "config data inline",
        "limits: gzip bomb": "peek no proof: gzip bomb", "limits: truncated gzip": "peek no proof: truncated gzip",
        "limits: tar checksum wrong": "peek no proof: checksum wrong", "limits: pax size": "peek formats: pax size",
        "limits: base-256 size": "peek base 256 size",
        "show: 15 GB with weights is denied": "baked weights are denied",
        "show: 20 GB on a base is not": "framework on a base is not", "show: bare CUDA base is not": "bare cuda base is not",
        "show: image volume, download are not": "delivered otherwise is not",
    },
    "registry_auth.py": {
        "config: 307 to other host": "307 to another host takes no authorization",
        "auth: quoted comma scope": "challenge: quoted comma in scope",
        "auth: two WWW-Authenticate headers": "challenge: two headers", "auth: Basic only": "basic only",
        "auth: anonymous token": "anonymous token", "auth: insufficient_scope": "insufficient scope is no loop",
        "auth: access_token only": "token reply: access_token only", "auth: expires_in 0": "token reply: expires_in 0",
        "auth: expires_in absent": "token reply: expires_in absent", "auth: realm http": "realm: http",
        "auth: realm private IP": "realm: private IP", "auth: 64 KiB+ token": "bad token: 64 KiB and more",
        "keys: of the kubelet": "which credentials", "show: nothing secret": "nothing secret is told",
    },
    "registry_hostile.py": {
        "limits: manifest 4 MiB+1": "manifest of 4 mib and one more", "limits: endless body": "endless body",
        "limits: slow-loris body": "slow loris body", "limits: Range ignored": "range ignored by 200",
        "limits: 416 on tiny layer": "range 416 of a tiny layer", "limits: bomb of a whole layer": "bomb in a layer",
        "limits: 429, seconds": "429 is honoured: seconds", "limits: 429, HTTP-date": "429 is honoured: HTTP-date",
        "limits: 429 alone": "429 is honoured: without Retry-After", "limits: ratelimit-remaining": "ratelimit remaining 0",
    },
    "registry_serve.py": {
        "concurrency: 100 pods": "100 pods with one image are one look up",
        "concurrency: deadline, then hit": "deadline answer then cache hit",
        "show: cold look-up": "cold look up", "show: bytes": "cold look up of two layers",
        "show: a registry that hangs": "hanging registry costs others nothing",
    },
    "registry_debian.py": {
        "accept: docker-registry's own": "accept matrix of docker registry",
    },
    "registry_buildah.py": {
        "config: buildah --layers": "history of layers", "config: buildah's own squashing": "history squashed",
        "skopeo: zstd": "pushed as: zstd", "skopeo: zstd:chunked": "pushed as: zstd:chunked",
    },
}


def of(program):
    """The names of its tests."""
    return set(ITEMS.get(program, {}).values())
