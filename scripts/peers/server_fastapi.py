"""The saved model behind FastAPI and uvicorn, computed by PyTorch: what most would write, at its best settings.

Batch norm folded, channels-last, inference mode, decoding and computing off the event loop. Settings are
taken from the environment, since uvicorn imports this file in each of its processes.
"""

import io
import json
import os
from pathlib import Path

import torch
from fastapi import FastAPI, HTTPException, Request
from fastapi.concurrency import run_in_threadpool
from PIL import Image
from torch import nn
from torchvision import transforms

from backbone import fold_batch_norm, load_backbone

MODEL_DIR = Path(os.environ["MODEL_DIR"])
DTYPE = torch.bfloat16 if os.environ.get("BF16") == "1" else torch.float32
torch.set_num_threads(int(os.environ.get("THREADS", "2")))

metadata = json.loads((MODEL_DIR / "model.json").read_text())
transform = transforms.Compose([
    transforms.Resize(metadata["transform"]["resize"]),
    transforms.CenterCrop(metadata["transform"]["crop"]),
    transforms.ToTensor(),
    transforms.Normalize(metadata["transform"]["mean"], metadata["transform"]["std"]),
])


def load():
    state_dict = torch.load(MODEL_DIR / "model.pth", weights_only=True)
    head = nn.Linear(2048, len(metadata["class_names"]))
    head.load_state_dict({"weight": state_dict["fc.weight"], "bias": state_dict["fc.bias"]})
    backbone = fold_batch_norm(load_backbone(MODEL_DIR / "model.pth"))
    model = backbone.to(DTYPE).to(memory_format=torch.channels_last).eval()
    if os.environ.get("COMPILE") == "1":
        from torch._inductor import config

        config.freezing = True
        model = torch.compile(model)
    return model, head.eval()


model, head = load()
app = FastAPI()


@torch.inference_mode()
def classify(body):
    image = transform(Image.open(io.BytesIO(body)).convert("RGB")).unsqueeze(0)
    features = model(image.to(DTYPE).to(memory_format=torch.channels_last))
    return head(features.float()).tolist()


@app.get("/ping")
async def ping():
    return {}


@app.post("/invocations")
async def invocations(request: Request):
    body = await request.body()
    try:
        return await run_in_threadpool(classify, body)
    except OSError as error:
        raise HTTPException(400, str(error)) from error
