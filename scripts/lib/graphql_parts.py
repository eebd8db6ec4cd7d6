"""Parts of a supergraph (federation, first version), for the tests."""

import asyncio

from graphql import GraphQLError, build_schema

SDL = {
    "accounts": "type Query { me: User who(id: ID!): User } type User { id: ID! username: String }",
    "products": """
        type Query { top(first: Int = 3): [Product!] any: [Thing!] }
        type Mutation { price(upc: String!, price: Int!): Product }
        interface Thing { upc: String! }
        type Product implements Thing { upc: String! name: String price: Int weight: Int }
    """,
    "reviews": """
        type Query { latest: Review }
        type Subscription { reviewed(from: Int = 1): Review told(name: String!): String ever: Review refused: Review }
        type User { id: ID! username: String reviews(first: Int): [Review!] }
        type Product { upc: String! reviews: [Review!] }
        type Review { id: ID! body: String author: User product: Product broken: String }
    """,
    "stock": "type Query { depots: Int } type Product { upc: String! price: Int weight: Int inStock: Boolean shipping: Int }",
}
KEYS = {"User": "id", "Product": "upc"}
ENTITIES = {"accounts": ["User"], "products": ["Product"], "reviews": ["User", "Product"], "stock": ["Product"]}

users = {"1": "Ada", "2": "Bob"}
products = {"a": ("Table", 100, 10), "b": ("Chair", 50, 5)}
reviews = {"1": ("good", "1", "a"), "2": ("bad", "2", "a"), "3": ("fine", "1", "b")}


def user(part, id):
    if id not in users:
        return None
    found = {"__typename": "User", "id": id}
    if part == "accounts":
        found["username"] = users[id]
    else:
        mine = [review(key) for key, (_, author, _) in reviews.items() if author == id]
        found["reviews"] = lambda info, first=None: [one() for one in mine[:first]]
    return found


def product(part, upc, asked):
    if upc not in products:
        raise ValueError("there is no product " + upc)
    name, price, weight = products[upc]
    found = {"__typename": "Product", "upc": upc}
    if part == "products":
        found.update(name=name, price=price, weight=weight)
    elif part == "reviews":
        found["reviews"] = lambda info: [review(key)() for key, (_, _, of) in reviews.items() if of == upc]
    else:
        # What it is told of a product, and does not know itself.
        shipping = asked["weight"] * 2 + asked["price"] if "weight" in asked else None
        found.update(inStock=upc == "a", shipping=shipping)
    return found


def review(key):
    body, author, upc = reviews[key]

    def found():
        # The name that it knows itself is told by `@provides`.
        by = {**user("reviews", author), "username": users[author] + " of reviews"}
        return {"id": key, "body": body, "author": by, "product": product("reviews", upc, {}), "broken": broken}

    return found


def broken(info):
    raise GraphQLError("it broke", extensions={"code": "BROKEN"})


async def reviewed(_, info, **asked):
    for key in list(reviews)[asked["from"] - 1 :]:
        yield {"reviewed": review(key)()}


async def told(_, info, name):
    yield {"told": info.context.headers.get(name)}


async def ever(_, info):
    yield {"ever": review("3")()}
    await asyncio.Event().wait()


def refused(_, info):
    raise ValueError("not today")


def build(part):
    more = f"""
        scalar _Any
        union _Entity = {" | ".join(ENTITIES[part])}
        extend type Query {{ _entities(representations: [_Any!]!): [_Entity]! }}
    """
    schema = build_schema(SDL[part] + more)

    def entity(asked):
        if asked["__typename"] == "User":
            return user(part, asked["id"])
        try:
            return product(part, asked["upc"], asked)
        except ValueError as error:
            return error

    query = schema.type_map["Query"].fields
    query["_entities"].resolve = lambda _, info, representations: [entity(one) for one in representations]
    if part == "accounts":
        query["me"].resolve = lambda _, info: user(part, "1")
        query["who"].resolve = lambda _, info, id: user(part, id)
    elif part == "products":
        query["top"].resolve = lambda _, info, first: [product(part, upc, {}) for upc in list(products)[:first]]
        query["any"].resolve = lambda _, info: [product(part, upc, {}) for upc in products]
        change = lambda _, info, upc, price: {**product(part, upc, {}), "price": price}
        schema.type_map["Mutation"].fields["price"].resolve = change
    elif part == "reviews":
        query["latest"].resolve = lambda _, info: review("3")()
        fields = schema.type_map["Subscription"].fields
        for subscription in (reviewed, told, ever, refused):
            fields[subscription.__name__].subscribe = subscription
    return schema
