local names = {}

function names.greeting(name, region)
    return "hello " .. name .. " in the " .. (region or "open")
end

return names
