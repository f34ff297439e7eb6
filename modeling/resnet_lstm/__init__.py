"""ResNet-50 frame features, an LSTM over time: a video action classifier for the Hugging Face ecosystem."""
