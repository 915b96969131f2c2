"""What a loss buys: a text in as many bits as it costs, coded by a language model and decoded by it again."""
