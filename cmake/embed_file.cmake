# SPDX-License-Identifier: Apache-2.0
# One file as a C++ string_view. Raw string literals are limited in length by some compilers, so it is cut in pieces.
file(READ ${IN} text)
string(LENGTH "${text}" length)
set(pieces "")
set(at 0)
while(at LESS length)
  string(SUBSTRING "${text}" ${at} 8000 piece)
  string(APPEND pieces "R\"embedded(${piece})embedded\"\n")
  math(EXPR at "${at} + 8000")
endwhile()
file(WRITE ${OUT} "#include \"schemas/embedded.h\"\n\nnamespace vswitch::embedded {\nconst std::string_view ${NAME} =\n${pieces};\n}\n")
