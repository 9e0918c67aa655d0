"""Recipes of the lab's models: each writes one complete model directory, without a model hub and without torch.

Two models are real and come out of Python packages; the others are random, of the same architectures as the models of a real
fleet, and small enough to start on two CPU cores. A recipe is called with the directory of the downloaded packages and with an
empty directory for its files. Recipes import each other by their place, so that an engine's own Python runs them as well
(tools/gpu_probe/tiny.py): it has numpy and tokenizers, and knows nothing of Ansible.
"""
