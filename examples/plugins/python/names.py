def greeting(name, region):
    return "hello %s in the %s" % (name, region)
