#!/bin/sh
# Builds packages with NVIDIA's names from these STAND-INS, into the folder that is named: packages.sh OUTPUT [VERSION]
# Units and paths as NVIDIA's packages have them (config-files/systemd of github.com/NVIDIA/DCGM, packaging of dcgm-exporter).
set -e
here=$(cd "$(dirname "$0")" && pwd)
output=$1
version=${2:-4.4.2-1}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

build() { # name, depends
  mkdir -p "$work/$1/DEBIAN"
  printf 'Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: stand-in <stand-in@invalid>\nDepends: %s\nDescription: stand-in for %s\n' \
    "$1" "1:$version" "$2" "$1" > "$work/$1/DEBIAN/control"
  dpkg-deb --build --root-owner-group "$work/$1" "$output" >/dev/null
}

core=$work/datacenter-gpu-manager-4-core
mkdir -p "$core/usr/bin" "$core/lib/systemd/system"
install -m 755 "$here/dcgmi.py" "$core/usr/bin/dcgmi"
cat > "$core/lib/systemd/system/nvidia-dcgm.service" <<'U'
[Unit]
Description=Stand-in for NVIDIA DCGM service

[Service]
ExecStart=/bin/sleep infinity
Restart=on-abort

[Install]
WantedBy=multi-user.target
U
build datacenter-gpu-manager-4-core python3
for cuda in 12 13; do build datacenter-gpu-manager-4-cuda$cuda "datacenter-gpu-manager-4-core (= 1:$version)"; done

exporter=$work/datacenter-gpu-manager-exporter
mkdir -p "$exporter/usr/bin" "$exporter/lib/systemd/system"
install -m 755 "$here/dcgm_exporter.py" "$exporter/usr/bin/dcgm-exporter"
cat > "$exporter/lib/systemd/system/nvidia-dcgm-exporter.service" <<'U'
[Unit]
Description=Stand-in for NVIDIA DCGM-exporter service
Wants=nvidia-dcgm.service
After=nvidia-dcgm.service

[Service]
StandardOutput=append:/var/dcgm-exporter.log
StandardError=append:/var/dcgm-exporter.log
ExecStart=/usr/bin/dcgm-exporter -f /etc/dcgm-exporter/default-counters.csv
Restart=on-abort

[Install]
WantedBy=multi-user.target
U
build datacenter-gpu-manager-exporter "datacenter-gpu-manager-4-core (>= 1:4)"
