"""One verb phrase a file, one public function each."""
