from .output_lines import Lines as Lines, Tail as Tail
