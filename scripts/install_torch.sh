#!/bin/sh
# Installs torch into the environment of the given python, CPU or CUDA as the machine asks for, and says how large it is.
#
# usage: install_torch.sh PYTHON     TORCH="…" names what to install instead
set -eu
python=$1

# The release that the tests ran with. It is asked for by name only because the index that most people use has no CPU build under
# plain `torch` on Linux; exgrpo itself accepts any torch that its `train` extra does.
cpu_torch="torch==2.13.0+cpu"
cpu_index="https://download.pytorch.org/whl/cpu"

install() {
  "$python" -m pip install -q --retries 1 "$@"
}

if [ -n "${TORCH:-}" ]; then
  echo "installing $TORCH (from TORCH=)"
  install $TORCH
elif command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi >/dev/null 2>&1; then
  echo "NVIDIA driver found: installing torch with CUDA, about 3 GB to download, 6 GB on disk"
  install torch
elif [ "$(uname -s)" != Linux ]; then
  echo "installing torch, about 80 MB to download, 400 MB on disk"
  install torch
else
  echo "no NVIDIA driver: installing the CPU build $cpu_torch, about 200 MB to download, 750 MB on disk"
  if ! install "$cpu_torch" 2>/dev/null && ! install --extra-index-url "$cpu_index" "$cpu_torch"; then
    echo "no CPU build to be had: installing plain torch, which may bring CUDA, about 3 GB to download; TORCH=… overrides"
    install torch
  fi
fi
