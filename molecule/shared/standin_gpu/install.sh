#!/bin/sh
# Puts the STAND-INS into a lab machine that this folder was copied to (/opt/standin-gpu), and starts them.
set -e
cd /opt/standin-gpu
chmod 755 ./*.py uname mokutil
mkdir -p real /usr/lib/nvidia/current

# The real program goes to real/, whichever package brings it and whenever; the stand-in takes its place.
replace() {
  [ -L "$1" ] && [ "$(readlink "$1")" = "/opt/standin-gpu/$2" ] && return
  dpkg-divert --quiet --local --rename --divert "/opt/standin-gpu/real/${1##*/}" --add "$1"
  ln -s "/opt/standin-gpu/$2" "$1"
}
replace "$(dpkg -S '*bin/modprobe' | sed -n 's/^kmod: //p')" modprobe.py
replace "$(dpkg -S '*bin/rmmod' | sed -n 's/^kmod: //p')" modprobe.py
replace "$(dpkg -S '*bin/uname' | sed -n 's/^coreutils: //p')" uname
replace /usr/bin/mokutil mokutil
# Debian's own driver has its nvidia-smi here, and a link from /usr/bin while it is installed.
replace /usr/lib/nvidia/current/nvidia-smi nvidia_smi.py
ln -sf /opt/standin-gpu/gpuctl.py /usr/local/bin/gpuctl

cat > /etc/systemd/system/standin-gpu.service <<'U'
[Unit]
Description=Stand-in GPUs
DefaultDependencies=no
After=local-fs.target
Before=sysinit.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/opt/standin-gpu/boot.py

[Install]
WantedBy=sysinit.target
U
cat > /etc/systemd/system/standin-gpu-users.service <<'U'
[Unit]
Description=Reference counts of the stand-in modules
After=standin-gpu.service

[Service]
ExecStart=/opt/standin-gpu/boot.py count

[Install]
WantedBy=multi-user.target
U
systemctl daemon-reload
systemctl enable --quiet standin-gpu standin-gpu-users
systemctl restart standin-gpu standin-gpu-users
