module larder.example/greet

go 1.18
