"""From a request to results: opening both sides, extracting features, measuring. Public: `latte_eval.evaluate`."""
