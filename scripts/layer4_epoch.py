"""Times epochs of layer4's training in PyTorch, on made-up activations in a file.

`layer4_epoch.py IMAGES EPOCHS [THREADS]`, on 2 threads if not told; prints images a second of each
epoch. See compare_layer4.sh.
"""

import sys
import tempfile
import time

import numpy as np
import torch
import torchvision

NUM_CLASSES, BATCH_SIZE, ROW = 133, 16, 14 * 14 * 1024
num_images, num_epochs = int(sys.argv[1]), int(sys.argv[2])
torch.set_num_threads(int(sys.argv[3]) if len(sys.argv) > 3 else 2)
torch.manual_seed(0)
file = tempfile.NamedTemporaryFile()
torch.rand(num_images, ROW).sub(0.5).mul(0.05).relu().bfloat16().view(torch.int16).numpy().tofile(file)
file.flush()
cached = np.memmap(file.name, dtype=np.int16, mode="r", shape=(num_images, ROW))
targets = torch.arange(num_images) % NUM_CLASSES

model = torchvision.models.resnet50(num_classes=NUM_CLASSES).to(memory_format=torch.channels_last)
model.eval()  # batch norm keeps its statistics
layer4, fc = model.layer4, model.fc
optimizer = torch.optim.SGD(
    [
        {"params": layer4.parameters(), "lr": 1e-3, "weight_decay": 1e-4},
        {"params": fc.parameters(), "lr": 1e-2, "weight_decay": 1e-4},
    ],
    momentum=0.9,
)
for _ in range(num_epochs):
    started = time.perf_counter()
    for batch in torch.randperm(num_images).split(BATCH_SIZE):
        x = torch.from_numpy(cached[batch.numpy()]).view(torch.bfloat16).float()
        x = x.view(-1, 14, 14, 1024).permute(0, 3, 1, 2)  # channels last
        logits = fc(layer4(x).mean((2, 3)))
        loss = torch.nn.functional.cross_entropy(logits, targets[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    rate = num_images / (time.perf_counter() - started)
    print(f"PyTorch {rate:.2f} images/s (loss {loss.item():.4f})", flush=True)
