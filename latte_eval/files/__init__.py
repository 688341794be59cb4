"""All that touches the disk or the network, and knows no metric: run folders, weights, downloads, stored clips."""
