#!/usr/bin/env python3
"""CIFAR-10, epochs 1 to 3, mean of three seeds, against PyTorch's own run of the same network on
the same images (JPEG-compressed CIFAR-10; PyTorch 1.13, CPU, fp32, batch 64, Adam 1e-3).

usage: curve.py LOCKSTEP SHARDS
"""
import statistics
import sys
import tempfile

import runs

# Mean of three seeds of PyTorch's run: train loss, test accuracy in percent.
PYTORCH = [(1.248, 64.7), (0.860, 70.0), (0.661, 72.2)]

lockstep, data = sys.argv[1], sys.argv[2]
with tempfile.TemporaryDirectory() as work:
    curves = [runs.train(lockstep, data, f"{work}/run", "--epochs", 3, "--seed", seed)[1]
              for seed in (1, 2, 3)]
for seed, curve in zip((1, 2, 3), curves):
    print(f"seed {seed}: " + ", ".join(f"{float(row['train_loss']):.4f} / "
                                       f"{100 * float(row['test_accuracy']):.2f}%" for row in curve))
print("epoch  train loss  PyTorch  differs   test accuracy  PyTorch  differs")
good = True
for epoch, (want_loss, want_accuracy) in enumerate(PYTORCH):
    loss = statistics.mean(float(curve[epoch]["train_loss"]) for curve in curves)
    accuracy = 100 * statistics.mean(float(curve[epoch]["test_accuracy"]) for curve in curves)
    print(f"{epoch + 1:5}  {loss:10.3f}  {want_loss:7.3f}  {100 * (loss / want_loss - 1):+6.1f}%  "
          f"{accuracy:13.2f}  {want_accuracy:7.1f}  {accuracy - want_accuracy:+7.2f}")
    good = good and abs(loss / want_loss - 1) <= 0.03 and abs(accuracy - want_accuracy) <= 1.5
print("holds" if good else "MISSED", ": train loss within 3%, test accuracy within 1.5 points")
