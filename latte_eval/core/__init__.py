"""The words that every room speaks: clips, features, protocols, results, errors. Imports no other room."""
