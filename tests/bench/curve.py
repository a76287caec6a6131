#!/usr/bin/env python3
"""CIFAR-10, epochs 1 to 3, mean over seeds, against PyTorch's own run of the same network on the
same images (JPEG-compressed CIFAR-10; PyTorch 1.13, CPU, fp32, batch 64, Adam 1e-3, three seeds).

usage: curve.py LOCKSTEP SHARDS [SEED...]

Seeds 1 to 9 by default: at epoch 3 the train loss of single seeds spreads over more than 10%, so
a mean of three misses a bar of 3% by chance now and then; three triples are printed to show it.
"""
import statistics
import sys
import tempfile

import runs

# Mean of three seeds of PyTorch's run: train loss, test accuracy in percent.
PYTORCH = [(1.248, 64.7), (0.860, 70.0), (0.661, 72.2)]

lockstep, data = sys.argv[1], sys.argv[2]
seeds = [int(seed) for seed in sys.argv[3:]] or list(range(1, 10))
with tempfile.TemporaryDirectory() as work:
    curves = [runs.train(lockstep, data, f"{work}/run", "--epochs", 3, "--seed", seed)[1]
              for seed in seeds]
for seed, curve in zip(seeds, curves):
    print(f"seed {seed}: " + ", ".join(f"{float(row['train_loss']):.4f} / "
                                       f"{100 * float(row['test_accuracy']):.2f}%" for row in curve))
for first in range(0, len(seeds) - 2, 3):
    losses = [statistics.mean(float(curve[epoch]["train_loss"])
                              for curve in curves[first:first + 3]) for epoch in range(3)]
    print(f"mean train loss of seeds {seeds[first:first + 3]}: "
          + ", ".join(f"{loss:.4f}" for loss in losses))
print("epoch  train loss  PyTorch  differs   test accuracy  PyTorch  differs")
good = True
for epoch, (want_loss, want_accuracy) in enumerate(PYTORCH):
    loss = statistics.mean(float(curve[epoch]["train_loss"]) for curve in curves)
    accuracy = 100 * statistics.mean(float(curve[epoch]["test_accuracy"]) for curve in curves)
    print(f"{epoch + 1:5}  {loss:10.3f}  {want_loss:7.3f}  {100 * (loss / want_loss - 1):+6.1f}%  "
          f"{accuracy:13.2f}  {want_accuracy:7.1f}  {accuracy - want_accuracy:+7.2f}")
    good = good and abs(loss / want_loss - 1) <= 0.03 and abs(accuracy - want_accuracy) <= 1.5
print("holds" if good else "MISSED", ": train loss within 3%, test accuracy within 1.5 points")
