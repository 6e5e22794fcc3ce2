"""The smallest FastAPI service that answers JSON: what benchmarks/api.py measures GET /estimate against."""

from fastapi import FastAPI

app = FastAPI()


@app.get("/hello")
async def hello() -> dict[str, str]:
    return {"hello": "world"}
