"""A filter of the collection."""


class FilterModule:
    def filters(self):
        return {"brackets": lambda text: "[%s]" % text}
