"""Losses that train frame embeddings from unlabelled videos, one file for each paper."""
