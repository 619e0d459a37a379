"""A filter of the project."""


class FilterModule:
    def filters(self):
        return {"shout": lambda text: text.upper() + "!"}
