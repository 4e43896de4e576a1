"""What one writes in an afternoon: FastAPI, lists checked by pydantic, one `session.run` per request.

The file to serve is named in the environment (MODEL), because uvicorn passes no arguments on.
"""

import os

import numpy as np
import onnxruntime
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
session = onnxruntime.InferenceSession(os.environ["MODEL"], providers=["CPUExecutionProvider"])


class Question(BaseModel):
    x: list[list[float]]


class Reply(BaseModel):
    y: list[list[float]]


@app.get("/")
async def health() -> dict[str, bool]:
    return {"ready": True}


@app.post("/predict")
async def predict(question: Question) -> Reply:
    outputs = session.run(["y"], {"x": np.array(question.x, np.float32)})
    return Reply(y=outputs[0].tolist())
