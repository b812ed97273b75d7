"""Files of one recording of events each, in the formats that cameras and laboratories write."""
