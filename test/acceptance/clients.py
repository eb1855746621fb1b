"""Embeds texts with every package: `clients.py BASE_URL MODEL TEXTS_AS_JSON` prints, by package, vectors and errors as JSON."""

import json
import sys
from collections.abc import Callable

import cohere
import ollama
from huggingface_hub import InferenceClient
from langchain_openai import OpenAIEmbeddings
from openai import OpenAI

Vectors = list[list[float]]

base_url, model, texts = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
v1 = f"{base_url}/v1"
openai_client = OpenAI(base_url=v1, api_key="unused", max_retries=0)
ollama_client = ollama.Client(host=base_url)
cohere_client = cohere.ClientV2(api_key="unused", base_url=base_url)
hub_client = InferenceClient(model=f"{base_url}/embed")


def with_openai(model: str) -> Vectors:
    return [row.embedding for row in openai_client.embeddings.create(model=model, input=texts).data]


def with_langchain(model: str) -> Vectors:
    """It sends ids of cl100k in place of texts."""
    return OpenAIEmbeddings(model=model, base_url=v1, api_key="unused", max_retries=0).embed_documents(texts)


def with_ollama(model: str) -> Vectors:
    return [list(row) for row in ollama_client.embed(model=model, input=texts).embeddings]


def with_cohere(model: str) -> Vectors:
    answer = cohere_client.embed(model=model, texts=texts, input_type="search_document", embedding_types=["float"])
    return answer.embeddings.float_


def with_hub(_: str) -> Vectors:
    return [hub_client.feature_extraction(text)[0].tolist() for text in texts]


def error_of(embed: Callable[[str], Vectors]) -> str:
    try:
        embed("no-such-model")
    except Exception as error:  # noqa: BLE001 - whatever the package throws is what its users get
        return f"{type(error).__name__} {error}"
    return "none"


clients = {
    "openai": with_openai,
    "langchain-openai": with_langchain,
    "ollama": with_ollama,
    "cohere": with_cohere,
    "huggingface_hub": with_hub,
}
json.dump({name: {"vectors": embed(model), "error": error_of(embed)} for name, embed in clients.items()}, sys.stdout)
