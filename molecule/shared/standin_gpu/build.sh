#!/bin/sh
# Builds what a lab machine's package manager shall find, and boots the older of two stand-in kernels: `build.sh debian|rhel`.
set -e
cd /opt/standin-gpu
case $1 in
  debian)
    apt-get -qq update
    kernels=$(apt-cache search --names-only '^linux-headers-6[.]1[.]0-[0-9]+-amd64$' | cut -d' ' -f1 | sort -V | tail -2)
    echo "$kernels" | sed s/linux-headers-// | xargs ./kernels.py
    ./driver_packages.py
    # The lab's pool of downloads knows packages by name and version alone: those of an earlier build must not come back.
    find /srv -name '*.deb' -printf '/var/cache/lab-debs/%f\n' | xargs -r rm -f
    dpkg -i "$(printf '%s\n' /srv/kernels/*.deb | sort -V | head -1)"
    ;;
  rhel)
    rm -rf /lib/modules/*
    ./driver_rpms.py 6.1.0-55.el9.x86_64 6.1.0-56.el9.x86_64
    dnf -y install kernel-core-6.1.0-55.el9
    ;;
esac
gpuctl 'gpus=["20b2", "20b2"]'
systemctl restart standin-gpu
