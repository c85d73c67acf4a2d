"""What a trained model does with position: measures of its tables and of its hidden states."""
