"""Steps of the group ``combinations``: one score made of several, half-yearly fits and daily scores."""
