"""Are backends the same, bit for bit, and how far are integers from the numbers they stand for?"""
