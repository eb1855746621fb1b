"""Calls a host with the openai package: `openai_client.py BASE_URL TEXTS_AS_JSON` prints what came back as JSON."""

import json
import sys

from openai import APIStatusError, OpenAI

client = OpenAI(base_url=sys.argv[1], api_key="unused", max_retries=0)
answer = client.embeddings.create(model="text-embedding-3-small", input=json.loads(sys.argv[2]))
try:
    client.embeddings.create(model="text-embedding-3-small", input=[""])
    error = "none"
except APIStatusError as thrown:
    error = f"{type(thrown).__name__} {thrown.code} {thrown.param}"
json.dump({"vectors": [row.embedding for row in answer.data], "model": answer.model, "error": error}, sys.stdout)
