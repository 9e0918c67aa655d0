"""What people bring, read to its end: scripts that decide, containers, units, quadlets, manifests, option files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.command_line import (
    ReadCommand,
    Unread,
    read_commands,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.images import release_of

# A text; parts of its entries, in order; and what the notes say.
SCRIPTS: list[tuple[str, list[dict[str, Any]], list[str]]] = [
    # Without arguments there are no options to get.
    (
        'T=1\nwhile getopts "t:" o; do case $o in t) T=$OPTARG;; esac; done\nvllm serve Org/A -tp $T',
        [{"args": {"tensor-parallel-size": 1}}],
        ["$OPTARG if $o is t", "that is taken here"],
    ),
    ("printf -v P '%d' 8066\nvllm serve Org/A --port $P", [{"port": 8066}], []),
    (
        "mapfile -t W <<'END'\n--seed\n3\n--enforce-eager\nEND\nvllm serve Org/A \"${W[@]}\"",
        [{"args": {"seed": 3, "enforce-eager": True}}],
        [],
    ),
    (
        "docker exec -d -e CUDA_VISIBLE_DEVICES=3 --env A=1 box bash -lc 'vllm serve Org/A --port 8067'",
        [{"gpus": [3], "port": 8067, "env": {"A": "1"}}],
        [],
    ),
    ("docker run -e A=1 vllm/vllm-openai:v0.11.0", [{"env": {"A": "1"}}], ["No model is named"]),
    (
        "MODEL=${1:-Org/Base}; PORT=${2:-8055}; shift 2\nexec sudo -u svc -E uv run --with vllm==0.11.0 vllm serve $MODEL --port $PORT \"$@\"",
        [{"model": "Org/Base", "port": 8055, "env": None}],
        ["asks for vLLM 0.11.0", "${1:-Org/Base}", '"$@" may hold further words'],
    ),
    (
        'serve() { local m=$1 p=$2 g=$3; shift 3; CUDA_VISIBLE_DEVICES=$g nohup vllm serve "$m" --port "$p" "$@" > log & }\n'
        "serve Org/A 8001 0 --seed 1\nserve Org/B 8002 1,2 -tp 2\nwait",
        [
            {"model": "Org/A", "port": 8001, "gpus": [0], "args": {"seed": 1}},
            {"model": "Org/B", "port": 8002, "gpus": [1, 2], "args": {"tensor-parallel-size": 2}},
        ],
        [],
    ),
    (
        'M=(Org/A Org/B)\nfor i in "${!M[@]}"; do CUDA_VISIBLE_DEVICES=$i vllm serve ${M[$i]} --port $((8000 + i)) & done',
        [{"model": "Org/A", "gpus": [0], "port": 8000}, {"model": "Org/B", "gpus": [1], "port": 8001}],
        [],
    ),
    (
        "up() { for i in 1 2; do curl x && return 0; done; exit 1; }\nvllm serve Org/A --port 8001 &\nup\nvllm serve Org/B --port 8002",
        [{"model": "Org/A"}, {"model": "Org/B"}],
        [],
    ),
    (
        'C="vllm serve Org/A"\nC="$C --port 8080"\n[ -n "$Q" ] && C="$C --quantization $Q"\necho "runs $C"\n$C',
        [{"model": "Org/A", "port": 8080, "args": None}],
        ["--quantization $Q if"],
    ),
    (
        'if [ "$(nvidia-smi -L | wc -l)" -ge 8 ]; then exec vllm serve Org/L -tp 8; else exec vllm serve Org/S; fi',
        [{"model": "Org/L", "args": {"tensor-parallel-size": 8}}, {"model": "Org/S"}],
        ["Line 1 is reached if ["],
    ),
    (
        "case ${1:-start} in\n start) vllm serve Org/A ;;\n stop) pkill vllm ;;\nesac",
        [{"model": "Org/A"}],
        ["is taken to be 'start'"],
    ),
    (
        '[ $# -lt 1 ] && { echo "usage: vllm.sh MODEL"; exit 1; }\nvllm serve "$1" --port 8001',
        [{"model": "$1", "port": 8001}],
        ["the model holds $1"],
    ),
    ("CUDA_VISIBLE_DEVICES=4\nvllm serve Org/A", [{"gpus": None}], ["line 1 and not exported"]),
    ("cd /srv/m && vllm serve ./big", [{"model": "/srv/m/big"}], ["./big is relative to /srv/m"]),
    ("PORT=8019; bash -c \"vllm serve Org/A --port $PORT\"", [{"port": 8019}], []),
    ("PORT=8019; bash -c 'vllm serve Org/A --port $PORT'", [{"port": None}], ["--port holds $PORT"]),
    ("export PORT=8019; bash -c 'vllm serve Org/A --port $PORT'", [{"port": 8019}], []),
    ("vllm serve Org/A --api-key ${K:-sk-geheimes1} --port <port>", [{"port": None}], ["--port holds <port>"]),
    ('vllm serve Org/A --chat-template "<path/to/it>"', [{}], ["looks like a place to fill in"]),
    ("vllm serve Org/A \\\n  # --seed 1 \\\n  --seed 2", [{"args": {"seed": 2}}], ["a backslash is missing above it"]),
    ("$PRE vllm serve Org/A", [{"model": "Org/A"}], ["$PRE stands before the command"]),
    ("vllm serve $A --model Org/A", [{"model": "Org/A"}], ["$A may hold further words"]),
    ("vllm serve Org/A > >(tee log) 2>&1", [{"model": "Org/A", "args": None}], []),
    ("```bash\n$ vllm serve Org/A \\\n    --seed 1\n```\n", [{"args": {"seed": 1}}], []),
    ('M=a/b\nwhile [[ $# -gt 0 ]]; do case $1 in --model) M="$2"; shift 2 ;; *) exit 1 ;; esac; done\nC="vllm serve $M"\neval $C', [{"model": "a/b"}],
     ['$2 while [[ $# -gt 0 ]] (line 2)']),
    ("$HOME/bin/vllm serve Org/A", [{"model": "Org/A"}], []),
    ("vllm serve\u00a0Org/A --seed 1 --response-role 'a\u00a0b'", [{"args": {"seed": 1, "response-role": "a\u00a0b"}}], ["Line 1: a no-break space"]),
    ("export X=1\nenv -i Y=2 vllm serve Org/A", [{"env": {"Y": "2", "X": None}}], []),
    ("Don't forget:\n```bash\nvllm serve Org/A \\\n  --seed $S\n```\nIt's up.\n", [{"model": "Org/A"}], ["knows (line 3)"]),
    ('O="--seed 1"\n[ -n "$X" ] && O="$O --hf-token hf_geheimgeheimgeheim --api-key geheim2"\nvllm serve Org/A $O', [{"args": {"seed": 1}}], ["--hf-token …"]),
    ('[ "$K" = sk-geheimgeheimgeheim ] && K=geheim3 || exit 1\nexport HF_TOKEN=${T:-geheim4}\nvllm serve Org/A --api-key $K', [{"model": "Org/A"}], []),
    ('if curl -H "Authorization: Bearer geheim5" h; then vllm serve Org/A; fi', [{"model": "Org/A"}], ['"Authorization: Bearer …" h']),
    (f'if test "$X" = "{"0geheim" * 9}"; then vllm serve Org/A; fi', [{"model": "Org/A"}], ['if test "$X" = "…" (line 1)']),
    ("vllm serve Org/A --otlp-traces-endpoint http://u:geheim@h:4317", [{"args": None}], ["--otlp-traces-endpoint looks like a secret"]),
    ("https_proxy=http://u:geheim@h:3128 vllm serve Org/A", [{"env": None}], ["https_proxy is left out: it looks like a secret"]),
    ("vllm serve s3://u:geheim@h/m --served-model-name n", [{"model": None, "name": "n"}], ["The model looks like a secret"]),
    ("f() { vllm serve Org/A; }\n", [{"model": "Org/A"}], ["The function f (line 1) starts it, and nothing here calls it"]),
]  # fmt: skip

WRAPPED: list[tuple[str, list[str]]] = [
    ("env -S 'A=1 vllm serve Org/A --port 8001'", []),
    (
        "systemd-run --user --scope -p MemoryMax=90% --property=CPUQuota=50% vllm serve Org/A --port 8001",
        ["`MemoryMax=90%` of systemd-run is left out", "`CPUQuota=50%` of systemd-run is left out"],
    ),
    ("tmux send-keys -t a 'vllm serve Org/A --port 8001' C-m", []),
    ("tmux new-session -d -s a 'vllm serve Org/A --port 8001'", []),
    ("screen -S a -X stuff 'vllm serve Org/A --port 8001\\n'", []),
    ("ssh -p 22 u@gpu1 vllm serve Org/A --port 8001", []),
    ("ssh gpu1 bash -s <<'END'\nvllm serve Org/A --port 8001\nEND\n", []),
    ("bash <<END\nvllm serve Org/A --port 8001\nEND\n", []),
    ("su - svc -c 'vllm serve Org/A --port 8001'", []),
    ("sudo -u svc bash -c 'cd /x && exec vllm serve Org/A --port 8001'", []),
    ("docker exec -it box bash -c 'vllm serve Org/A --port 8001'", []),
    ("kubectl exec pod -- vllm serve Org/A --port 8001", []),
    ("uvx vllm@0.12.0 serve Org/A --port 8001", ["vLLM 0.12.0"]),
    ("timeout 9 nice -n 5 numactl -N 0 vllm serve Org/A --port 8001", ["RuntimeMaxSec=", "`nice -n 5`", "NUMAPolicy="]),
    ("systemd-run --user --scope -p MemoryMax=90% vllm serve Org/A --port 8001", []),
    ("srun --gres=gpu:4 singularity exec --nv x.sif vllm serve Org/A --port 8001", []),
    ("( export X=1; vllm serve Org/A --port 8001 ) &", []),
    ('eval "vllm serve Org/A --port $((8000 + 1))"', []),
    ("while true; do vllm serve Org/A --port 8001; sleep 1; done", []),
]

# A file, the parts of its entries, the release that is read, and what the notes say.
MANIFEST = """apiVersion: v1
kind: Pod
spec:
  containers:
  - image: vllm/vllm-openai:v0.11.0
    args: [--model, Org/A]
    env: [{name: HF_TOKEN, valueFrom: {secretKeyRef: {name: hf, key: token}}}]
    resources: {limits: {nvidia.com/gpu: "${GPUS}"}}
"""
CONTAINERS: list[tuple[str, list[dict[str, Any]], str, list[str]]] = [
    (
        "docker run -itd -p 127.0.0.1:9100:8000 -v /srv/m:/models --device nvidia.com/gpu=2 --device nvidia.com/gpu=3 "
        "-e CUDA_VISIBLE_DEVICES=1 docker.io/vllm/vllm-openai:v0.10.1.1 --model /models/a",
        [{"model": "/srv/m/a", "port": 9100, "gpus": [3], "aliases": ["/models/a"]}],
        "0.10.1.1",
        ["published for 8000 of the container"],
    ),
    (
        "podman run --rm -e NVIDIA_VISIBLE_DEVICES=4,5 --security-opt=label=disable -v w:/m -p 8000 vllm/vllm-openai:v0.14.0-cu130 /m/a",
        [{"model": "/m/a", "gpus": [4, 5], "port": None}],
        "0.14.0",
        ["lies in the volume w", "a port that its engine chooses"],
    ),
    (
        "docker run --gpus 2 --mount type=bind,src=/srv,dst=/m -w /x --entrypoint python3 vllm/vllm-openai:v0.9.0.1 "
        "-m vllm.entrypoints.openai.api_server --model /m/a --chat-template /m/t.jinja",
        [{"model": "/srv/a", "gpus": 2, "args": {"chat-template": "/srv/t.jinja"}}],
        "0.9.0.1",
        [],
    ),
    ("docker run --gpus '\"device=0,1\",\"capabilities=utility\"' me/vllm-openai:0.11.0-x Org/A", [{"gpus": [0, 1]}], "0.11.0", []),
    ("docker run rocm/vllm:rocm6.4.1_vllm_0.9.1_20250702 bash -c 'vllm serve Org/A -tp 8'", [{"model": "Org/A"}], "0.9.1", []),
    ("docker run vllm/vllm-openai:v0.6.3 --model Org/A", [{"model": "Org/A"}], "", ["no release that is known here"]),
    ("docker run --gpus all --entrypoint=/bin/bash $IMAGE -lc 'vllm serve Org/A'", [{"model": "Org/A"}], "", []),
    ("docker run vllm/vllm-openai:v0.11.0 '--model Org/A --port 8001'", [{"model": "Org/A", "port": 8001}], "0.11.0", ["is one word"]),
    ("apiVersion: v1\nkind: Pod\nspec: {containers: [{image: vllm/vllm-openai:v0.11.0, command: [vllm serve Org/A --port 8001]}]}", [{"port": 8001}],
     "0.11.0", ["is one word"]),
    ('docker run -p "${P:-9000}":8000 "vllm/vllm-openai:${V:-v0.11.0}" Org/A', [{"port": 9000}], "0.11.0",
     ["-p holds ${P:-9000}", "the image holds ${V:-v0.11.0}"]),
    ("services:\n  a: {image: 'vllm/vllm-openai:${V:-v0.11.0}', ports: ['${P:-9000}:8000'], command: [Org/A]}", [{"port": 9000}], "0.11.0",
     ["image holds ${V:-v0.11.0}", "ports holds ${P:-9000}"]),
    ("docker run $MORE vllm/vllm-openai:v0.11.0 --model Org/A", [{"model": "Org/A"}], "0.11.0", ["$MORE holds further options"]),
    (
        """services:
  a:
    image: ${REG:-docker.io}/vllm/vllm-openai:${TAG:-v0.11.0}
    entrypoint: [python3, -m, vllm.entrypoints.openai.api_server]
    command: >
      --model Org/A --max-model-len ${LEN:-4096}
      --port 9000 --hf-overrides '{"a": "$$b"}'
    ports: ["9300:9000"]
    gpus: 2
  b:
    image: vllm/vllm-openai:v0.11.0
    environment: {NVIDIA_VISIBLE_DEVICES: "2,3", X: "on"}
    volumes: [{type: bind, source: /srv/models, target: /models}]
    ports: [{target: 8000, published: 9001}]
    entrypoint: /bin/bash -c
    command: ["vllm serve /models/a --lora-modules sql=/models/sql"]
  c:
    image: vllm/vllm-openai:v0.11.0
    network_mode: host
    devices: [nvidia.com/gpu=1]
    deploy: {replicas: 2}
    command: [serve, Org/C, "--port 8099"]
  d:
    image: redis
""",
        [
            {"model": "Org/A", "port": 9300, "gpus": 2, "args": {"max-model-len": 4096, "hf-overrides": {"a": "$b"}}},
            {"model": "/srv/models/a", "port": 9001, "gpus": [2, 3], "adapters": {"sql": {"model": "/srv/models/sql"}}, "env": {"X": "on"}},
            {"model": "Org/C", "port": 8099, "gpus": [1]},
        ],
        "0.11.0",
        ["--max-model-len holds ${LEN:-4096}", "2 replicas", "`--port 8099` is one word"],
    ),
    (
        """apiVersion: apps/v1
kind: Deployment
spec:
  replicas: 2
  template:
    spec:
      volumes: [{name: w, hostPath: {path: /data/w}}, {name: c, persistentVolumeClaim: {claimName: x}}]
      containers:
      - image: vllm/vllm-openai:v0.11.2
        command: [python3, -m, vllm.entrypoints.openai.api_server]
        args: [--model, "/w/$(SIZE)", --tensor-parallel-size, "2", "--tokenizer=/c/t"]
        env: [{name: SIZE, value: big}, {name: HF_TOKEN, valueFrom: {secretKeyRef: {name: a, key: b}}}]
        envFrom: [{configMapRef: {name: settings}}]
        resources: {limits: {nvidia.com/gpu: "2"}}
        volumeMounts: [{name: w, mountPath: /w}, {name: c, mountPath: /c}]
        ports: [{containerPort: 8000, hostPort: 9200}]
---
apiVersion: v1
kind: Service
spec: {ports: [{port: 80}]}
""",
        [{"model": "/data/w/big", "gpus": 2, "port": 9200, "args": {"tensor-parallel-size": 2, "tokenizer": "/c/t"}}],
        "0.11.2",
        ["HF_TOKEN comes from the cluster", "settings of the cluster", "2 replicas", "lies in the volume c"],
    ),
    (
        "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - image: vllm/vllm-openai:v0.11.0\n    command: [sh, -c]\n    args:\n    - |\n"
        "      # start\n      vllm serve Org/A \\\n        --port 8024\n",
        [{"model": "Org/A", "port": 8024}],
        "0.11.0",
        [],
    ),
    (
        "[Unit]\nDescription=x\n[Container]\nImage=docker.io/vllm/vllm-openai:v0.12.0\nAddDevice=nvidia.com/gpu=1\nVolume=/srv/w:/m:ro,Z\n"
        'Environment=VLLM_LOGGING_LEVEL=DEBUG "X=a b"\nPublishPort=9001:8000\nExec=--model /m --seed 1 \\\n  --hf-overrides \'{"a": 1}\'\n',
        [{"model": "/srv/w", "port": 9001, "gpus": [1], "args": {"seed": 1, "hf-overrides": {"a": 1}}, "env": {"X": "a b", "VLLM_LOGGING_LEVEL": "DEBUG"}}],
        "0.12.0",
        [],
    ),
    (
        "[Service]\nEnvironment=A=1 \\\n# within\n  CUDA_VISIBLE_DEVICES=6\nWorkingDirectory=/srv\nExecStartPre=/bin/x\nExecStart=\n"
        "ExecStart=@/opt/bin/vllm vllm serve ./w --port 8042 \\\n# --dtype half \\\n; more\n  --served-model-name \"a & b\" x#y $MORE ${ONE}\n",
        [{"model": "/srv/w", "port": 8042, "gpus": [6], "aliases": ["a & b", "x#y", "${ONE}"], "env": {"A": "1"}}],
        "",
        ["$MORE may hold further words"],
    ),
    (
        "[Service]\nEnvironment=\"O=--seed 1 --dtype half\" M=Org/A\nExecStart=/usr/bin/env HF_HOME=/x /opt/vllm serve ${M} $O --port 80%%20\n",
        [{"model": "Org/A", "args": {"seed": 1, "dtype": "half"}}],
        "",
        ["The port 80%20"],
    ),
    ("[Service]\nExecStart=/x/vllm serve Org/A --port 8001 >> /var/log/x 2>&1 &\n", [{"model": "Org/A", "port": 8001}], "",
     [">> /var/log/x 2>&1 &` is a shell's"]),
    ("[Service]\nExecStart=/x/vllm serve Org/A --seed 1 # one\n", [{"model": "Org/A", "args": {"seed": 1}}], "", ["`# one` is a shell's"]),
    ("docker run --network host -p 1:2 vllm/vllm-openai:v0.11.0 Org/A --port 8001", [{"port": 8001}], "0.11.0", []),
    ("docker run -p 9000-9003:8000-8003 vllm/vllm-openai:v0.11.0 Org/A --port 8001", [{"port": 9001}], "0.11.0", []),
    (MANIFEST, [{"model": "Org/A", "gpus": None}], "0.11.0", ["put it into a vault as vllm_hf_token", "The GPUs are given as ${GPUS}"]),
    ("[Service]\nExecStart=/bin/bash -lc 'exec vllm serve Org/A --port 8044 2>&1 | tee x'\n", [{"port": 8044}], "", []),
]  # fmt: skip


def agree(part: Any, found: Any) -> bool:
    if isinstance(part, dict):
        return isinstance(found, dict) and all(agree(value, found.get(key)) for key, value in part.items())
    return part == found and isinstance(part, bool) == isinstance(found, bool)


def told(found: list[ReadCommand]) -> str:
    return "\n".join(note for one in found for note in one.notes)


@pytest.mark.parametrize(("text", "entries", "notes"), SCRIPTS)
def test_a_script_is_read_as_it_runs(text: str, entries: list[dict[str, Any]], notes: list[str]) -> None:
    found = read_commands(text)
    assert len(found) == len(entries), told(found)
    assert all(agree(part, one.entry) for part, one in zip(entries, found, strict=True)), [one.entry for one in found]
    assert [note for note in notes if note not in told(found)] == [], told(found)
    assert "geheim" not in repr(found)


@pytest.mark.parametrize(("text", "notes"), WRAPPED)
def test_a_start_is_found_in_whatever_runs_it(text: str, notes: list[str]) -> None:
    (found,) = read_commands(text)
    assert (found.entry["model"], found.entry["port"]) == ("Org/A", 8001)
    assert [note for note in notes if note not in told([found])] == []


MACHINES: list[tuple[str, list[str]]] = [
    ("ssh -p 22 u@g1 vllm serve Org/A &\nssh g2 vllm serve Org/A", ["u@g1 and g2"]),
    ('for h in g1 g2 g3; do ssh $h "nohup vllm serve Org/A"; done', ["g1, g2 and g3"]),
    ("ssh g1 bash -s <<END\nvllm serve Org/A\nEND\nsudo ssh g2 <<END\nvllm serve Org/A\nEND\n", ["g1 and g2"]),
    # Others, the same machine, and what no ssh starts stay what they are.
    ("ssh g1 vllm serve Org/A; ssh g2 vllm serve Org/A --seed 1", ["", ""]),
    ("ssh g1 vllm serve Org/A; ssh g1 vllm serve Org/A", ["", ""]),
    ("vllm serve Org/A; ssh g1 vllm serve Org/A", ["", ""]),
]


@pytest.mark.parametrize(("text", "machines"), MACHINES)
def test_the_same_start_on_several_machines_is_one_entry(text: str, machines: list[str]) -> None:
    found = read_commands(text)
    assert len(found) == len(machines)
    for one, named in zip(found, machines, strict=True):
        assert [note for note in one.notes if "same is started" in note] == (
            [f"The same is started on {named}"] if named else []
        )


@pytest.mark.parametrize(("text", "entries", "release", "notes"), CONTAINERS)
def test_containers_and_units_are_read(
    text: str, entries: list[dict[str, Any]], release: str, notes: list[str]
) -> None:
    found = read_commands(text)
    assert [one.release for one in found] == [release] * len(entries)
    assert all(agree(part, one.entry) for part, one in zip(entries, found, strict=True)), [one.entry for one in found]
    assert [note for note in notes if note not in told(found)] == [], told(found)


NOTHING: list[tuple[str, str]] = [
    ("docker run --entrypoint sleep vllm/vllm-openai 1d", "Nothing here starts vLLM"),
    ("docker run vllm/vllm-openai:latest bash", "Nothing here starts vLLM"),
    ("echo vllm serve Org/A", "in line 1 is text"),
    ("cat > /etc/systemd/system/x.service <<END\n[Service]\nExecStart=/x/vllm serve Org/A\nEND\n", "in line 3 is text"),
    ('services:\n  a:\n    image: vllm/vllm-openai\n    command: "--model \'Org/A"\n', "cannot be split into words"),
    ("for i in 1; do vllm serve Org/A\n", "line 2: done is missing"),
    ("vllm serve Org/A; ) curl -u me:geheim h", "') curl -u me:… h' is out"),
    ("vllm serve Org/A --seed $((1 + \n", "line 1: ( is never closed"),
]


@pytest.mark.parametrize(("text", "said"), NOTHING)
def test_what_starts_nothing_or_is_no_shell_is_refused_with_its_line(text: str, said: str) -> None:
    with pytest.raises(Unread) as error:
        read_commands(text)
    assert said in str(error.value)
    assert "geheim" not in str(error.value)


# --config: the start, the release, and what is written for `async-scheduling: false`.
FALSE: list[tuple[str, str, str]] = [
    ("vllm serve Org/A", "0.33.0", "passes `false` over"),
    ("python -m vllm.entrypoints.openai.api_server --model Org/A", "0.33.0", "It is written as it is"),
    ("python -m vllm.entrypoints.openai.api_server --model Org/A", "0.21.0", "passes `false` over"),
]


@pytest.mark.parametrize(("start", "release", "said"), FALSE)
def test_options_of_a_file_come_before_those_of_the_command(
    start: str, release: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / "o.yaml").write_text(
        "max_num_seqs: 9\nseed: 1\nenforce-eager: true\nenable-prefix-caching: false\nhf-overrides: {a: 1}\n"
    )
    text = f'{start} --config "$(cd "$(dirname "$0")" && pwd)/o.yaml" --seed 2'
    (found,) = read_commands(text, release, str(tmp_path / "start.sh"))
    assert found.entry["args"] == {
        "max-num-seqs": 9,
        "seed": 2,
        "enforce-eager": True,
        "enable-prefix-caching": False,
        "hf-overrides": {"a": 1},
    }
    assert said in told([found])


def test_a_file_of_options_is_read_by_itself(tmp_path: Path) -> None:
    text = "model: Org/A\nserved-model-name: [a, b]\nport: 8005\nmax_num_seqs: 9\nenforce-eager: true\n"
    (tmp_path / "options.yaml").write_text(text)
    (found,) = read_commands(text, "0.33.0", str(tmp_path / "options.yaml"))
    assert agree({"name": "a", "model": "Org/A", "port": 8005, "aliases": ["b"]}, found.entry)
    assert found.entry["args"] == {"max-num-seqs": 9, "enforce-eager": True}


def test_files_beside_are_read_and_no_others(tmp_path: Path) -> None:
    (tmp_path / "x.env").write_text("A=Org/A # the model\nexport B='2 3'\n")
    (tmp_path / "common.yml").write_text(
        "services: {e: {image: 'vllm/vllm-openai:v0.11.0', environment: {VLLM_LOGGING_LEVEL: DEBUG}}}"
    )
    (tmp_path / ".env").write_text("SIZE=8\n")
    start = str(tmp_path / "start.sh")
    (found,) = read_commands("set -a; source ./x.env\nvllm serve $A", None, start)
    assert (found.entry["model"], found.entry["env"]) == ("Org/A", {"A": "Org/A", "B": "2 3"})
    for text in ("export $(grep -v '^#' x.env | xargs)", "set -o allexport; . ./x.env"):
        (found,) = read_commands(f"{text}\nvllm serve Org/B --seed ${{#B}}", None, start)
        assert (found.entry["env"]["A"], found.entry["args"]) == (
            "Org/A # the model" if "grep" in text else "Org/A",
            {"seed": 3},
        )
    (found,) = read_commands("export $(python settings.py)\nvllm serve Org/B", None, start)
    assert "Line 1 sets what $(python settings.py) prints" in told([found])
    (tmp_path / "serve.sh").write_text('exec vllm serve "$1" --port "${PORT:-1}" --seed "${SEED:-4}"\n')
    (found,) = read_commands("export PORT=8009; SEED=5\nnohup bash serve.sh Org/C &", None, start)
    assert (found.entry["model"], found.entry["port"], found.entry["args"]) == ("Org/C", 8009, {"seed": 4})
    assert "Line 2 runs serve.sh" in told([found])
    run = "docker run --env-file ./x.env --env-file /etc/y.env -e B=4 vllm/vllm-openai:v0.11.0 Org/D"
    (found,) = read_commands(run, None, start)
    assert found.entry["env"] == {"A": "Org/A", "B": "4"}
    assert "Further variables stand in /etc/y.env" in told([found])
    (found,) = read_commands("source /etc/x.env\nvllm serve $A", None, start)
    assert "Line 1 reads /etc/x.env" in told([found])
    compose = "services: \n  c:\n    extends: {file: common.yml, service: e}\n    env_file: [x.env, /etc/y.env]\n    command: ['${SIZE}/m']\n"
    (found,) = read_commands(compose, None, start)
    assert (found.release, found.entry["model"]) == ("0.11.0", "8/m")
    assert found.entry["env"] == {"VLLM_LOGGING_LEVEL": "DEBUG", "A": "Org/A", "B": "2 3"}
    assert "/etc/y.env" in told([found])
    (found,) = read_commands("[Service]\nEnvironmentFile=-x.env\nExecStart=/x/vllm serve ${A}\n", None, start)
    assert found.entry["model"] == "Org/A"


@pytest.mark.parametrize(
    ("image", "release"),
    [
        ("vllm/vllm-openai:v0.10.1.1", "0.10.1.1"),
        ("vllm/vllm-openai:v0.8.5.post1", "0.8.5.post1"),
        ("vllm/vllm-openai:v0.14.0-cu130", "0.14.0"),
        ("reg:5000/x/vllm-openai-rocm:0.23.0@sha256:" + "0" * 64, "0.23.0"),
        ("vllm/vllm-openai:v0.11.0rc2", ""),
        ("vllm/vllm-openai:nightly", ""),
        ("vllm/vllm-openai", ""),
        ("redis:7.0.1", None),
    ],
)
def test_a_tag_says_the_release(image: str, release: str | None) -> None:
    assert release_of(image) == release
