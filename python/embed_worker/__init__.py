"""The embedding worker: one process, one model, batches of texts in, float32 vectors out."""
