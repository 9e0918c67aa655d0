#!/bin/sh
# STAND-IN for nvidia-fabricmanager-start.sh of Fabric Manager 580, which is NVIDIA's and not public: the same checks in the same order
# as public logs show them (gpu-operator issue 2781, CanvOS pull request 700, siderolabs/extensions pull request 717), below $ROOT.
for vpd in "$ROOT"/sys/class/infiniband/*/device/vpd; do
  if grep -q SW_MNG "$vpd" 2>/dev/null; then
    echo "Detected NVL5+ system"
    if ! [ -d "$ROOT/sys/module/ib_umad" ]; then
      echo 'Kernel module "ib_umad" has not been loaded, fabric manager cannot be started'
      exit 1
    fi
    if ! [ -x "$ROOT/usr/sbin/ibstat" ]; then
      echo "ibstat: command not found"
      exit 1
    fi
    if ! [ -x "$ROOT/opt/nvidia/nvlsm/sbin/nvlsm" ]; then
      echo '"/opt/nvidia/nvlsm/sbin/nvlsm" does not exist'
      exit 1
    fi
    exit 0
  fi
done
echo "Detected Pre-NVL5 system"
for class in "$ROOT"/sys/bus/pci/devices/*/class; do
  grep -q 0x0680 "$class" && exit 0
done
echo "request to query NVSwitch device information failed: NV_WARN_NOTHING_TO_DO"
exit 1
