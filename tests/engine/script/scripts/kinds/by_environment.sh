#!/bin/sh
# Steered by its environment alone, in another language.
echo "lr=$LR threads=$OMP_NUM_THREADS"
