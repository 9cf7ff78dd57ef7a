"""What is opened of a model: folders, configurations, weights and tokenizers, each checked before it is used."""
