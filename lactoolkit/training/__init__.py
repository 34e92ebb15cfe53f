"""Learning frame embeddings from unlabelled videos: configuration, data in memory, the loop, checkpoints, logs."""
